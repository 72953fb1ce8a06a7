"""The map from addresses to the names of pods, which HAProxy's access log uses. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from homeserver_router.endpoints import Endpoints

_LISTED: Final = re.compile(r"^(\d+) \(([^)]*)\)")


def by_address(endpoints: Mapping[str, Endpoints]) -> dict[str, str]:
    """All pods, those that end too: they still answer. Of two at one address the one that stays."""
    everyone = [each for found in endpoints.values() for each in found]
    everyone.sort(key=lambda each: (not each.terminating, each.pod))
    return {each.address.ip: each.pod for each in everyone}


def text(pods: Mapping[str, str]) -> str:
    """The file."""
    return "".join(f"{ip} {pod}\n" for ip, pod in sorted(pods.items()))


def find(listed: str, file: str) -> str | None:
    """HAProxy's own number of a map, of its answer to `show map`; None: it has no such map."""
    for line in listed.splitlines():
        found = _LISTED.match(line)
        if found and found[2].rpartition("/")[2] == file:
            return f"#{found[1]}"
    return None


def parse(shown: str) -> dict[str, str]:
    """The entries, of HAProxy's answer to `show map #…`."""
    rows = (line.split() for line in shown.splitlines())
    return {row[1]: row[2] for row in rows if len(row) >= 3 and row[0].startswith("0x")}


def commands(number: str, live: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    """What to tell HAProxy."""
    for ip, pod in sorted(wanted.items()):
        if ip not in live:
            yield f"add map {number} {ip} {pod}"
        elif live[ip] != pod:
            yield f"set map {number} {ip} {pod}"
    for ip in live:
        if ip not in wanted:
            yield f"del map {number} {ip}"
