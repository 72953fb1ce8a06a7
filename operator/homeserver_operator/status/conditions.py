"""Conditions as Kubernetes' tools read them: types, reasons, transitions.

kstatus and `kubectl wait` work from these: Ready is always there; Reconciling and Stalled are never
true together; each carries the generation that it speaks of.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

READY: Final = "Ready"
ACCEPTED: Final = "Accepted"
AVAILABLE: Final = "Available"
RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"
PAUSED: Final = "Paused"
EVALUATION_DATABASE: Final = "EvaluationDatabase"
ROUTING_REDUCED: Final = "RoutingReduced"
HOST_SHARED: Final = "HostShared"
FOREIGN_FIELDS: Final = "ForeignFields"
FIELDS_REWRITTEN: Final = "FieldsRewritten"
UP_TO_DATE: Final = "UpToDate"
CONNECTION_BUDGET_EXCEEDED: Final = "ConnectionBudgetExceeded"


@dataclass(frozen=True)
class Condition:
    """One condition. `status` is True, False or None for Unknown."""

    type: str
    status: bool | None
    reason: str
    message: str


def to_status(
    conditions: Iterable[Condition],
    previous: Iterable[Mapping[str, Any]],
    *,
    generation: int,
    now: str,
) -> list[dict[str, Any]]:
    """The list for `status.conditions`; a transition time moves only when the status does."""
    before = {condition["type"]: condition for condition in previous}
    rendered = []
    for condition in conditions:
        text = {True: "True", False: "False", None: "Unknown"}[condition.status]
        old = before.get(condition.type)
        since = old["lastTransitionTime"] if old and old["status"] == text else now
        rendered.append(
            {
                "type": condition.type,
                "status": text,
                "reason": condition.reason,
                "message": condition.message,
                "observedGeneration": generation,
                "lastTransitionTime": since,
            }
        )
    return rendered
