"""Which pod answered which request, read from Synapse's own request log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from e2e.product.homeserver import GROUP_LABEL
from e2e.product.kube import Kube

HOMESERVER_LABEL = "homeserver-operator.io/homeserver"
SYNAPSE_PODS = "homeserver-operator.io/role in (main,worker)"

_PREFIX = re.compile(r"\[pod/(?P<pod>[^/]+)/[^]]+\] (?P<line>.*)")
_STATUS = re.compile(r' (?P<status>\d{3})!? "')
_CLIENTS = "synapse.access.http.8008"


@dataclass(frozen=True)
class Request:
    """One request as the process that answered it logged it.

    `requester` is the user, or '', `sender` the address that it came from, `agent` what the client
    called itself.
    """

    pod: str
    group: str
    method: str
    path: str
    status: int
    requester: str
    sender: str
    agent: str


def answered(kube: Kube, since: str, *, homeserver: str = "") -> Iterator[Request]:
    """All requests that a homeserver's pods have answered since a time in RFC 3339.

    Without a name: those of all homeservers of the namespace.
    """
    selector = SYNAPSE_PODS + (f",{HOMESERVER_LABEL}={homeserver}" if homeserver else "")
    groups = {
        pod["metadata"]["name"]: pod["metadata"]["labels"][GROUP_LABEL]
        for pod in kube.list("pods", selector)
    }
    lines = kube.run(
        "logs", f"--selector={selector}", f"--since-time={since}", "--prefix", "--tail=-1",
        f"--max-log-requests={len(groups) + 1}", "--ignore-errors", check=False,
    )  # fmt: skip
    for prefixed in lines.splitlines():
        found = _PREFIX.fullmatch(prefixed)
        if found and (pod := found["pod"]) in groups:
            yield from _parse(found["line"], pod, groups[pod])


def _parse(line: str, pod: str, group: str) -> Iterator[Request]:
    """The request that a line of the log tells of; nothing for a line about anything else."""
    try:
        entry = json.loads(line)
    except ValueError:
        return
    if entry.get("namespace") != _CLIENTS or "Processed request" not in entry["log"]:
        return
    if status := _STATUS.search(entry["log"]):
        yield Request(
            pod=pod,
            group=group,
            method=entry["method"],
            path=entry["url"].partition("?")[0],
            status=int(status["status"]),
            requester=entry.get("requester") or "",
            sender=entry.get("ip_address") or "",
            agent=entry.get("user_agent") or "",
        )
