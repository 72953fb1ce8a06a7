"""What tests with real HAProxy share."""

from pathlib import Path

import pytest

from e2e.cluster import haproxy


@pytest.fixture(scope="module", params=haproxy.names())
def program(request: pytest.FixtureRequest) -> Path:
    return haproxy.program(request.param)
