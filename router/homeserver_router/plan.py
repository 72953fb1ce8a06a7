"""What HAProxy's servers shall be, and the commands from what they are to there. Pure.

Level-triggered: the commands follow from what HAProxy says of itself, never from what was told to
it before. A backend whose processes are all gone keeps its last addresses, because a refused
connection is tried again for as long as requests may be held, while a backend without servers fails
at once.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Final

from homeserver_router.endpoints import Address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NOBODY: Final = Address("127.0.0.1", 9)
"""Where nothing listens in the pod: what a backend holds requests with that never had a process."""

MAINTENANCE: Final = 0x01 | 0x02 | 0x20
"""Of a server's admin state: forced, inherited, or for want of an address."""


@dataclasses.dataclass(frozen=True)
class Server:
    """A slot of a backend; without an address it keeps the one that it has."""

    address: Address | None
    enabled: bool


Servers = dict[str, dict[str, Server]]
"""By backend and name."""


def slot_name(slot: int) -> str:
    """The name of a slot's server in HAProxy's configuration."""
    return f"s{slot}"


def fill(
    addresses: Mapping[int, Address], *, slots: int, last: Mapping[int, Address]
) -> dict[int, Address]:
    """The addresses in use by slot: those of the members, or else the last known, never none."""
    for chosen in (addresses, last):
        found = {slot: address for slot, address in chosen.items() if 1 <= slot <= slots}
        if found:
            return found
    return {1: NOBODY}


def servers(addresses: Mapping[int, Address], slots: int) -> dict[str, Server]:
    """All slots of a backend."""
    return {
        slot_name(slot): Server(addresses.get(slot), slot in addresses)
        for slot in range(1, slots + 1)
    }


def parse_state(text: str) -> Servers:
    """HAProxy's answer to `show servers state`.

    Raises:
        ValueError: if it is none.

    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or lines[0].strip() != "1":
        raise ValueError("HAProxy does not tell the state of its servers")
    names = lines[1].lstrip("# ").split()
    found: Servers = {}
    for line in lines[2:]:
        row = dict(zip(names, line.split(), strict=False))
        port = int(row["srv_port"])
        address = Address(row["srv_addr"], port) if row["srv_addr"] != "-" and port else None
        enabled = not int(row["srv_admin_state"]) & MAINTENANCE
        found.setdefault(row["be_name"], {})[row["srv_name"]] = Server(address, enabled)
    return found


def fitted(observed: Servers, desired: Servers) -> Servers:
    """What is desired, for a process that may run by another configuration.

    Of a backend that has fewer slots than it needs it uses those that it has, at least one; slots
    that are no longer wanted are empty.
    """
    found: Servers = {}
    for backend, live in observed.items():
        wanted = desired.get(backend)
        if wanted is None:
            continue
        there = found[backend] = {
            name: wanted.get(name, Server(None, enabled=False)) for name in live
        }
        serving = [server for server in wanted.values() if server.enabled]
        if serving and not any(server.enabled for server in there.values()):
            there[next(iter(live))] = serving[0]
    return found


def commands(observed: Servers, desired: Servers) -> Iterator[str]:
    """What to tell HAProxy (servers.lua); servers that it does not have are passed over.

    Who comes is told first, so that no backend is empty in between.
    """
    leaving: list[str] = []
    for backend, wanted in desired.items():
        for name, server in wanted.items():
            live = observed.get(backend, {}).get(name)
            if live is None:
                continue
            if server.enabled and server.address and server.address != live.address:
                ip, port = server.address
                yield f"router server {backend}/{name} addr {ip} port {port}"
            if server.enabled and not live.enabled:
                yield f"router server {backend}/{name} state ready"
            if live.enabled and not server.enabled:
                leaving.append(f"router server {backend}/{name} state maint")
    yield from leaving


def missing(observed: Servers, desired: Servers) -> list[str]:
    """The servers that the configuration should have and has not."""
    return [
        f"{backend}/{name}"
        for backend, wanted in desired.items()
        for name in wanted
        if name not in observed.get(backend, {})
    ]


def refusals(said: str) -> list[str]:
    """What HAProxy said to commands that it did not carry out; those it did it passes in silence.

    But of addresses it says what it has changed.
    """
    lines = (line.strip() for line in said.splitlines())
    return [line for line in lines if line and not line.startswith(_DONE)]


_DONE: Final = ("IP changed", "port changed", "no need to change")

_SECTION: Final = re.compile(r"^(?P<kind>[a-z][a-z-]*)(?:\s+(?P<name>\S+))?")
_SERVER: Final = re.compile(
    r"^(?P<start>\s+server\s+)(?P<name>\S+)\s+(?P<address>\S+)(?P<rest>.*)$"
)
_STATE: Final = re.compile(r"\s(disabled|enabled)(?=\s|$)")


def with_addresses(config: str, desired: Servers, name: str, script: str) -> str:
    """HAProxy's configuration with the addresses in it, so that it starts with everyone in place.

    It says which one it is, too (`name`): that is how the agent knows what HAProxy runs. `script`
    is what it must load to obey commands.
    """
    lines: list[str] = []
    for line, backend, found in _server_lines(config):
        server = desired.get(backend, {}).get(found["name"]) if found else None
        if not found or not server:
            lines.append(line)
            continue
        ip, port = server.address or NOBODY
        where = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
        state = "enabled" if server.enabled else "disabled"
        lines.append(
            f"{found['start']}{found['name']} {where}{_STATE.sub('', found['rest'])} {state}"
        )
    own = ["global", f"    description {name}", f"    lua-load {script}"]
    return "\n".join([*lines, "", *own, ""])


def read_addresses(config: str) -> Servers:
    """The servers that `with_addresses` wrote."""
    servers: Servers = {}
    for _, backend, found in _server_lines(config):
        if found and (state := _STATE.search(found["rest"])):
            ip, _, port = found["address"].rpartition(":")
            address = Address(ip.strip("[]"), int(port)) if port.isdigit() else None
            servers.setdefault(backend, {})[found["name"]] = Server(address, state[1] == "enabled")
    return servers


def _server_lines(config: str) -> Iterator[tuple[str, str, re.Match[str] | None]]:
    """Each line, the backend that it is in ("": none), and its parts if it names a server."""
    backend = ""
    for line in config.splitlines():
        if section := _SECTION.match(line):
            known = section["kind"] in {"backend", "listen"}
            backend = (section["name"] or "") if known else ""
        yield line, backend, _SERVER.match(line) if backend else None
