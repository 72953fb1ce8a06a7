"""The plugin's connection: kubeconfig, contexts, namespaces, and what cannot be reached."""

from argparse import Namespace
from pathlib import Path

import pytest
from tests.shell.fake_api import FakeApi
from tests.shell.objects import pod

from homeserver_operator.api import names
from homeserver_operator.cli.access import connect
from homeserver_operator.cli.output import CliError
from homeserver_operator.transport import ApiError


def options(kubeconfig: Path, **more: str) -> Namespace:
    return Namespace(**{"kubeconfig": str(kubeconfig), "context": None, "namespace": None} | more)


@pytest.mark.parametrize(
    ("more", "namespace"),
    [
        pytest.param({}, "meadow", id="that of the current context"),
        pytest.param({"context": "elsewhere"}, "default", id="a context without one"),
        pytest.param({"namespace": "hill"}, "hill", id="the one that was asked for"),
    ],
)
async def test_the_namespace_is(kubeconfig: Path, more: dict[str, str], namespace: str) -> None:
    async with connect(options(kubeconfig, **more)) as access:
        assert access.namespace == namespace


async def test_a_homeserver_that_is_not_there(kubeconfig: Path) -> None:
    async with connect(options(kubeconfig)) as access:
        with pytest.raises(CliError, match="no HomeServer oak in namespace meadow"):
            await access.homeserver("oak")


async def test_what_the_api_server_refuses(api: FakeApi, kubeconfig: Path) -> None:
    api.fail("GET", "homeservers", 403, body={"reason": "Forbidden", "message": "not for you"})
    async with connect(options(kubeconfig)) as access:
        with pytest.raises(CliError, match=r"HomeServer oak: not for you \(403 Forbidden\)"):
            await access.homeserver("oak")


@pytest.mark.parametrize(
    ("file", "more"),
    [
        pytest.param("missing", {}, id="no such file"),
        pytest.param("kubeconfig", {"context": "nowhere"}, id="no such context"),
    ],
)
async def test_an_unusable_kubeconfig(kubeconfig: Path, file: str, more: dict[str, str]) -> None:
    with pytest.raises(CliError, match="no usable kubeconfig"):
        async with connect(options(kubeconfig.parent / file, **more)):
            pass


async def test_pods_are_those_that_run_synapse(api: FakeApi, kubeconfig: Path) -> None:
    for name, role in (("main", "main"), ("sync", "worker"), ("redis", "redis")):
        found = pod(name, "10.0.0.1", role=role)
        found["metadata"]["namespace"] = "meadow"
        await api.put(found)
    other = pod("other", "10.0.0.1")
    other["metadata"] |= {"namespace": "meadow"}
    other["metadata"]["labels"][names.HOMESERVER_LABEL] = "elm"
    await api.put(other)
    async with connect(options(kubeconfig)) as access:
        found_pods = await access.pods("alpha")
    assert [each["metadata"]["name"] for each in found_pods] == ["main", "sync"]


async def test_a_log_is_its_lines_of_the_last_seconds(api: FakeApi, kubeconfig: Path) -> None:
    api.logs["main"] = "one\ntwo\n"
    async with connect(options(kubeconfig)) as access:
        assert await access.log("main", seconds=7) == ["one", "two"]
    path = "/api/v1/namespaces/meadow/pods/main/log?container=synapse&sinceSeconds=7"
    assert ("GET", path) in api.requests


async def test_a_log_that_may_not_be_read(api: FakeApi, kubeconfig: Path) -> None:
    api.fail("GET", "/log", 403, body={"reason": "Forbidden", "message": "not for you"})
    async with connect(options(kubeconfig)) as access:
        with pytest.raises(ApiError, match="not for you"):
            await access.log("main", seconds=7)
