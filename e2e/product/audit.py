"""What the operator wrote to the API server, by the API server's own audit log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import audit
from e2e.product.installation import OPERATOR_NAMESPACE

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_OPERATOR = f"system:serviceaccount:{OPERATOR_NAMESPACE}:"


@dataclass(frozen=True)
class Write:
    """One writing request and the answer's status code."""

    verb: str
    resource: str
    name: str
    code: int


class Audit:
    """The log from the moment of creation on."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._start = log.stat().st_size

    def writes(self) -> list[Write]:
        """The operator's writes since then, its Lease aside."""
        return [write for write in self._entries() if write.resource != "leases"]

    def _entries(self) -> Iterator[Write]:
        for entry in audit.entries(self._log, self._start):
            if entry["verb"] in _WRITES and entry["user"]["username"].startswith(_OPERATOR):
                target = entry.get("objectRef", {})
                resource = "/".join(
                    filter(None, (target.get("resource"), target.get("subresource")))
                )
                code = entry.get("responseStatus", {}).get("code", 0)
                yield Write(entry["verb"], resource, target.get("name", ""), code)
