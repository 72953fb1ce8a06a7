"""What real Synapse answers below /.well-known/matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tests.processes import SERVER_NAME, ending
from tests.services import LOOPBACK

from e2e.cluster.ports import free_port

if TYPE_CHECKING:
    from tests.processes import RuntimeProcess, Site

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)

CLIENTS = {"public_baseurl": "https://chat.test.example/"}


def main(site: Site, settings: dict[str, Any], launcher: dict[str, Any]) -> RuntimeProcess:
    return site.write(
        "main",
        role="main",
        settings=CLIENTS | settings,
        launcher=launcher,
        replication_ports={"main": free_port()},
    )


async def answer(process: RuntimeProcess, path: str) -> tuple[int, Any, str | None]:
    """Status, content, and who may read it from a browser."""
    url = f"http://{LOOPBACK}:{process.client_port}/.well-known/matrix/{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        content = await response.json() if response.status == 200 else None
        return response.status, content, response.headers.get("Access-Control-Allow-Origin")


@pytest.mark.parametrize(
    ("settings", "launcher", "told"),
    [
        pytest.param(
            {"serve_server_wellknown": True},
            {},
            (200, {"m.server": f"{SERVER_NAME}:443"}, None),
            id="Synapse's own answer",
        ),
        pytest.param(
            {},
            {"well_known_server": "f.example:443"},
            (200, {"m.server": "f.example:443"}, "*"),
            id="another host, which browsers may read as well",
        ),
    ],
)
async def test_servers_are_led_to_the_host_and_clients_to_theirs(
    site: Site, settings: dict[str, Any], launcher: dict[str, Any], told: object
) -> None:
    process = main(site, settings, launcher)
    with ending(process):
        process.start().wait_ready()
        assert await answer(process, "server") == told
        clients = {"m.homeserver": {"base_url": CLIENTS["public_baseurl"]}}
        assert await answer(process, "client") == (200, clients, "*")
        assert (await answer(process, "support"))[0] == 404


async def test_left_out_servers_are_told_nothing(site: Site) -> None:
    process = main(site, {}, {})
    with ending(process):
        process.start().wait_ready()
        assert (await answer(process, "server"))[0] == 404
