"""Why a homeserver is not ready: the most important reason, in the words of whoever found it."""

from dataclasses import dataclass
from typing import Final

from homeserver_operator.api.restarts import Phase
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import ObjectKey, World
from homeserver_operator.build import Manifests
from homeserver_operator.plan import Outlook
from homeserver_operator.plan.release import Release
from homeserver_operator.plan.restarting import Restarts
from homeserver_operator.status.workloads import Progress, troubles, troubles_of
from homeserver_operator.topology import Topology
from homeserver_operator.validate import Rejected

APPLY_FAILED: Final = "ApplyFailed"
"""The API server refuses a write, and will until people change something."""

WRITE_FAILED: Final = "WriteFailed"
"""The API server fails at a write, perhaps because of an admission webhook; that may pass."""


@dataclass(frozen=True)
class Failure:
    """A write that did not succeed: why (`APPLY_FAILED` or `WRITE_FAILED`), in whose words."""

    reason: str
    message: str


@dataclass(frozen=True)
class Findings:
    """All that a status is made of. `topology` and `manifests` are None if the spec was rejected.

    `shared` says which hosts are an older HomeServer's as well. `failure` is the API server's word
    on the last write, if it did not succeed.
    """

    rejected: Rejected | None = None
    topology: Topology | None = None
    manifests: Manifests | None = None
    release: Release | None = None
    outlook: Outlook | None = None
    strangers: tuple[ObjectKey, ...] = ()
    shared: str = ""
    failure: Failure | None = None


@dataclass(frozen=True)
class Obstacle:
    """Why the homeserver is not ready; `people`: only a change by people helps."""

    reason: str
    message: str
    people: bool


def find_obstacle(
    server: HomeServer, findings: Findings, world: World, all_progress: tuple[Progress, ...]
) -> Obstacle | None:
    """The most important reason why the homeserver is not ready."""
    if findings.rejected:
        return Obstacle(findings.rejected.reason, findings.rejected.message, people=True)
    if findings.strangers:
        names = ", ".join(f"{kind} {name}" for kind, name in findings.strangers)
        text = (
            f"{names} exist already and are not this HomeServer's: "
            "rename the HomeServer, or remove them"
        )
        return Obstacle("NameConflict", text, people=True)
    if findings.failure:
        failure = findings.failure
        return Obstacle(failure.reason, failure.message, people=failure.reason == APPLY_FAILED)
    if server.paused:
        return None
    return _rollout_obstacle(findings, world, all_progress)


def _rollout_obstacle(
    findings: Findings, world: World, all_progress: tuple[Progress, ...]
) -> Obstacle | None:
    outlook = findings.outlook
    if outlook and outlook.restarts.phase is Phase.HELD:
        return _held(outlook.restarts, world)
    if outlook and (count := outlook.plan.awaited):
        # Said before it is done, so that whoever waits for Ready never sees yesterday's.
        return Obstacle("Applying", f"writing {count} objects", people=False)
    missing = [item for item in all_progress if not item.done]
    if not missing:
        return None
    aside = _meanwhile(outlook) if outlook else ""
    found = next(troubles(missing, world), None)
    if found:
        text = found.message
        if outlook and outlook.restarts.phase is Phase.WARMING:
            text = f"{text}. Nothing was stopped: the processes of the last good revision go on"
        return Obstacle(found.reason, f"{text}{aside}", found.needs_people)
    waiting = ", ".join(f"{item.process} ({item.updated}/{item.desired})" for item in missing)
    return Obstacle("Progressing", f"waiting for {waiting} to be ready{aside}", people=False)


def _meanwhile(outlook: Outlook) -> str:
    """Where traffic goes until those are ready who are to have it."""
    past = ". Until it is ready, traffic goes past the router, as it did without"
    led = f". Until then Services lead where they led before: {', '.join(outlook.staying)}"
    return (past if outlook.bypasses_router else "") + (led if outlook.staying else "")


def _held(restarts: Restarts, world: World) -> Obstacle:
    """Of what restarts something, no more than this is done, whoever is down meanwhile."""
    word = restarts.consent
    text = f"what the spec asks for restarts processes: {word.because}"
    if down := [name for name, each in restarts.rollouts.items() if each.down and each.changed]:
        found = next(troubles_of(down, world), None)
        reason = f" ({found.message})" if found else ""
        text = f"{text}. Down until then: {', '.join(down)}{reason}"
    if word.retry_at:
        hint = "; if that cannot wait, take spec.restartPolicy.maintenanceWindows out"
        text += hint if down else ""
        return Obstacle("OutsideMaintenanceWindow", text, people=False)
    return Obstacle("ApprovalNeeded", text, people=True)
