"""What tests with real HAProxy share."""

from pathlib import Path

import pytest

from e2e.cluster import haproxy


@pytest.fixture(scope="session")
def programs() -> list[Path]:
    return haproxy.programs()


@pytest.fixture(scope="module", params=range(len(haproxy.names())), ids=haproxy.names())
def program(request: pytest.FixtureRequest, programs: list[Path]) -> Path:
    found: Path = programs[request.param]
    return found
