"""Whose a token is, asked of real Synapse: what it answers is understood, and decides no right."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.core.case import Case
from tests.core.worlds import BRIDGE_SECRET, EVERY_CLASS, REGISTRATION, with_bridge
from tests.matrix import register
from tests.processes import SERVER_NAME, RuntimeProcess, Site, ending
from tests.router.asked import CAPABILITIES, bearer
from tests.router.rig import Proxy, proxy
from tests.router.samples import files, with_router

pytestmark = [pytest.mark.synapse, pytest.mark.apiserver]
pytest_plugins = ["tests.fixtures"]

SYNC = "/_matrix/client/v3/sync?timeout=0"


@pytest.fixture
def synapse(site: Site) -> Iterator[RuntimeProcess]:
    """One process that answers everything, at every address, to guests and a bridge as well."""
    process = site.write("main", role="main")
    (site.directory / "bridge.yaml").write_text(REGISTRATION)
    file = process.directory / "homeserver.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["listeners"][0] |= {"bind_addresses": ["0.0.0.0"], "x_forwarded": True}  # noqa: S104
    settings |= {
        "allow_guest_access": True,
        "app_service_config_files": [str(site.directory / "bridge.yaml")],
    }
    file.write_text(yaml.safe_dump(settings))
    with ending(process):
        process.start()
        process.wait_ready()
        yield process


@pytest.fixture
def it(program: Path, synapse: RuntimeProcess, tmp_path: Path) -> Iterator[Proxy]:
    body = with_bridge(EVERY_CLASS, serves=["client"])
    spec = {**body["spec"], "serverName": SERVER_NAME}
    found = Case("whoami", with_router({**body, "spec": spec}, whoami={}), BRIDGE_SECRET)
    with proxy(
        program, files(found), tmp_path / "haproxy", synapse.client_port, members=lambda _name: 8
    ) as running:
        yield running


def asked(it: Proxy, target: str, token: str, status: int = 200) -> dict[str, Any]:
    """What the log says of a request with a token."""
    before = len(it._logged())
    assert it.ask("GET", target, bearer(token)).status == status
    found: dict[str, Any] = json.loads(it.lines(before + 1)[before])
    return found


def test_what_synapse_says_of_tokens_is_understood(
    it: Proxy, site: Site, synapse: RuntimeProcess
) -> None:
    own = asyncio.run(register(synapse.client_port))
    # Tokens of the Matrix Authentication Service mean nothing to whoever reads them, as these.
    for number, token in enumerate(("mat_phone", "mat_laptop")):
        site.execute(
            "INSERT INTO access_tokens (id, user_id, device_id, token) "
            "SELECT id + 100 + %s, user_id, device_id, %s FROM access_tokens WHERE token = %s",
            (number, token, own),
        )
    first = asked(it, SYNC, own)
    assert first["key"] == "localpart"
    for token in ("mat_phone", "mat_laptop"):
        found = asked(it, SYNC, token)
        assert (found["key"], found["server"]) == ("whoami", first["server"])
    assert asked(it, SYNC, "mat_nobodys", status=401)["key"] == "token"
    guest = it.ask("POST", "/_matrix/client/v3/register?kind=guest", body=b"{}")
    it.lines(5)
    assert asked(it, SYNC, json.loads(guest.text)["access_token"])["key"] == "whoami"

    own_name = asked(it, CAPABILITIES, "word-of-bridge")
    assert own_name["class"] == "for-bridged"
    assert asked(it, CAPABILITIES, "mat_phone")["class"] == "client"

    # What is remembered lets nobody in.
    assert it.ask("POST", "/_matrix/client/v3/logout", bearer("mat_phone"), b"{}").status == 200
    it.lines(9)
    gone = asked(it, SYNC, "mat_phone", status=401)
    assert (gone["key"], gone["server"]) == ("whoami", first["server"])
