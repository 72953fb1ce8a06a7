"""Which pod answered which request, read from Synapse's own request log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from e2e.product.kube import Kube

GROUP_LABEL = "homeserver-operator.io/group"
SYNAPSE_PODS = "homeserver-operator.io/role in (main,worker)"

_STATUS = re.compile(r' (?P<status>\d{3})!? "')
_CLIENTS = "synapse.access.http.8008"


@dataclass(frozen=True)
class Request:
    """One request as the process that answered it logged it; `requester` is the user, or ''."""

    pod: str
    group: str
    method: str
    path: str
    status: int
    requester: str


def answered(kube: Kube, since: str) -> Iterator[Request]:
    """All requests that the pods of a namespace have answered since a time in RFC 3339."""
    for pod in kube.list("pods", SYNAPSE_PODS):
        name = pod["metadata"]["name"]
        group = pod["metadata"]["labels"][GROUP_LABEL]
        for line in kube.run("logs", name, f"--since-time={since}", check=False).splitlines():
            if request := _parse(line):
                yield Request(name, group, *request)


def _parse(line: str) -> tuple[str, str, int, str] | None:
    """Method, path without query, status, user; None for a line about anything else."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if entry.get("namespace") != _CLIENTS or "Processed request" not in entry["log"]:
        return None
    status = _STATUS.search(entry["log"])
    path = entry["url"].partition("?")[0]
    if not status:
        return None
    return entry["method"], path, int(status["status"]), entry.get("requester") or ""
