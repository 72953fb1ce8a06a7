"""What the tests of the plugin share: an API server in memory and a kubeconfig that leads to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from tests.shell.fake_api import FakeApi


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as server:
        yield server


@pytest.fixture
def kubeconfig(api: FakeApi, tmp_path: Path) -> Path:
    """Two contexts: `here` is the current one, `elsewhere` has no namespace."""
    file = tmp_path / "kubeconfig"
    cluster, user = {"cluster": "fake", "user": "me"}, {"name": "me", "user": {"token": "secret"}}
    contexts = {"here": {**cluster, "namespace": "meadow"}, "elsewhere": cluster}
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "fake", "cluster": {"server": api.url}}],
                "users": [user],
                "contexts": [{"name": n, "context": c} for n, c in contexts.items()],
                "current-context": "here",
            }
        )
    )
    return file
