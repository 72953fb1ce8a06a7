"""The product's thinking, end to end: a HomeServer and the world in, orders and a status out.

No I/O, no clock. The shell (`reconcile`) observes before and executes after.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from homeserver_operator.api.actions import Event, Generate, Plan
from homeserver_operator.api.observed import is_anothers, is_ready
from homeserver_operator.api.restarts import Wave
from homeserver_operator.api.spec import HomeServer, parse
from homeserver_operator.api.world import Defaults, HostClaim, Object, ObjectKey, World
from homeserver_operator.build import Manifests, build
from homeserver_operator.build.images import Images, settle_images, with_newest
from homeserver_operator.build.meta import object_meta
from homeserver_operator.fences import holds_fences, make_claims, settle
from homeserver_operator.hosts import claim_of, find_contest, granted, refusal, was_accepted
from homeserver_operator.plan import Outlook, make_plan
from homeserver_operator.plan.held import hold
from homeserver_operator.plan.release import Release, Standing, find_release
from homeserver_operator.status import (
    APPLY_FAILED,
    WRITE_FAILED,
    Failure,
    Findings,
    make_status,
    refused_status,
    transitions,
)
from homeserver_operator.status.conditions import READY
from homeserver_operator.topology import Topology, make_topology
from homeserver_operator.validate import (
    GENERATED_SECRET_LOST,
    SECRET_MISSING,
    Rejected,
    ValidHomeServer,
    reference_keys,
    validate,
)
from homeserver_operator.validate.sources import Source, sources_of


@dataclass(frozen=True)
class Decision:
    """What to do, and when to look again without being woken (seconds; None: at the resync).

    `claim` is what the other HomeServers need to know of this one from now on.
    """

    plan: Plan
    requeue_after: float | None
    claim: HostClaim
    findings: Findings = field(repr=False)


@dataclass(frozen=True)
class Report:
    """The status to write (None if it says so already) and the events of its transitions."""

    status: Object | None
    events: tuple[Event, ...] = ()


def references(body: Object) -> frozenset[ObjectKey]:
    """Every Secret and ConfigMap whose content the decision needs."""
    return reference_keys(parse(body))


def generate(body: Object, world: World) -> tuple[Generate, ...]:
    """Secrets to make before anything else: each once in a homeserver's life.

    One that was made before and is gone is never made anew: it would not fit the data.
    """
    server = parse(body)
    return () if server.paused else _unmade(body, server, world)


def _unmade(body: Object, server: HomeServer, world: World) -> tuple[Generate, ...]:
    made_before = set(body.get("status", {}).get("generatedSecrets", ()))
    return tuple(
        _generate(server, source)
        for source in sources_of(server)
        if source.generates
        and world.references.get(source.object) is None
        and source.object.name not in made_before
        and (made_before or not _has_data(server, world))
    )


def decide(body: Object, world: World, defaults: Defaults, now: str) -> Decision:
    """Validate, lay out, build, compare. `now` is in RFC 3339."""
    server = parse(body)
    claim = claim_of(body, world, accepted=was_accepted(body, lately=True))
    contest = find_contest(server, claim, world.rivals)
    valid = validate(server, world)
    if isinstance(valid, Rejected) and server.paused:
        valid = _because_paused(valid, _unmade(body, server, world))
    if contest.taken and not isinstance(valid, Rejected):
        valid = refusal(contest)
    if isinstance(valid, Rejected):
        return Decision(Plan(), valid.retry_after, claim, Findings(rejected=valid))
    topology = make_topology(server)
    release, manifests = _released(body, valid, topology, world, defaults)
    moment = datetime.fromisoformat(now)
    outlook = make_plan(server, topology, manifests, world, moment)
    plan = Plan() if server.paused else outlook.plan
    findings = Findings(
        topology=topology,
        manifests=manifests,
        release=release,
        outlook=outlook,
        strangers=outlook.strangers,
        shared=contest.shared,
    )
    recheck = _recheck(server, outlook, world, moment)
    return Decision(plan, recheck, granted(claim, server), findings)


def _because_paused(rejected: Rejected, unmade: tuple[Generate, ...]) -> Rejected:
    """A Secret that has yet to be made is not lost."""
    if rejected.reason != GENERATED_SECRET_LOST or not unmade:
        return rejected
    names = ", ".join(order.manifest["metadata"]["name"] for order in unmade)
    message = f"Secrets that are made once spec.paused is false: {names}"
    return Rejected(SECRET_MISSING, message)


def _released(
    body: Object, valid: ValidHomeServer, topology: Topology, world: World, defaults: Defaults
) -> tuple[Release, Manifests]:
    """How what runs stands to this operator, and what is wanted with regard to that."""

    def built(images: Images) -> Manifests:
        fences = settle(make_claims(valid, topology, images.synapse), world)
        return build(valid, topology, images, fences)

    server = valid.spec
    images = settle_images(server, world, defaults)
    newest = built(with_newest(images, server, defaults))
    release = find_release(server, newest, world, body.get("status", {}), defaults.image)
    match release.standing:
        case Standing.HELD:
            return release, hold(server, topology, newest, images, world)
        case Standing.BEHIND:
            return release, built(images)
        case _:
            return release, newest


def preview(body: Object, world: World, defaults: Defaults) -> tuple[Wave, ...]:
    """What would restart, in which order and why; nothing for a spec that is refused."""
    # What restarts does not depend on when.
    outlook = decide(body, world, defaults, "1970-01-01T00:00:00Z").findings.outlook
    return outlook.restarts.waves if outlook else ()


_NAMESAKE_RECHECK = 15.0
"""Seconds until somebody else's objects are looked for again; they wake nobody."""

_RESTART_RECHECK = (2.0, 60.0)
"""Least and most seconds until processes that start are asked again.

What they wait for shows in no object. Whatever else a restart waits for wakes the operator.
"""

_PATIENCE = 0.2
"""The longer they have been there, the less often they are asked: after so much of their age."""


def _recheck(server: HomeServer, outlook: Outlook, world: World, now: datetime) -> float | None:
    if outlook.strangers:
        return _NAMESAKE_RECHECK
    if server.paused:
        return None
    retry_at = outlook.restarts.consent.retry_at
    opening = max((retry_at - now).total_seconds(), 1.0) if retry_at else None
    waits = [wait for wait in (opening, _asked_again(outlook, world, now)) if wait is not None]
    return min(waits, default=None)


def _asked_again(outlook: Outlook, world: World, now: datetime) -> float | None:
    """When processes are asked again for what shows in their state alone."""
    least, most = _RESTART_RECHECK
    if any(_without_its_fences(pod, world) for pod in world.of_kind("Pod").values()):
        # It takes them again or ends, and only the latter shows in an object.
        return least
    made = [
        pod["metadata"].get("creationTimestamp")
        for rollout in outlook.restarts.rollouts.values()
        if rollout.applied and not rollout.settled
        for pod in rollout.pods
    ]
    if not made:
        return None
    ages = [(now - datetime.fromisoformat(time)).total_seconds() for time in made if time]
    return min(max(min(ages, default=0) * _PATIENCE, least), most)


def _without_its_fences(pod: Object, world: World) -> bool:
    """Whether a process that serves said that it has just lost them."""
    state = world.states.get(pod["metadata"]["name"])
    if state is None or not is_ready(pod):
        return False
    return not holds_fences(state, pod)


def report(
    body: Object,
    decision: Decision,
    world: World,
    *,
    strangers: tuple[ObjectKey, ...] = (),
    failure: Failure | None = None,
    now: str,
) -> Report:
    """What to tell people.

    `strangers` and `failure` come from trying to execute the plan; `now` is in RFC 3339.
    """
    server = parse(body)
    found = decision.findings
    findings = Findings(
        rejected=found.rejected,
        topology=found.topology,
        manifests=found.manifests,
        release=found.release,
        outlook=found.outlook,
        strangers=found.strangers + strangers,
        shared=found.shared,
        failure=failure or _standing_failure(body, decision),
    )
    live: dict[str, Any] = body.get("status", {})
    status = make_status(server, findings, world, live, now)
    if status == live:
        return Report(None)
    return Report(status, tuple(transitions(status, live)))


def report_refusal(body: Object, refused: Object, message: str, *, now: str) -> Report:
    """What to tell people instead of a status that the API server has refused, in its words."""
    live: dict[str, Any] = body.get("status", {})
    status = refused_status(refused, live, message, now)
    if status == live:
        return Report(None)
    return Report(status, tuple(transitions(status, live)))


def _standing_failure(body: Object, decision: Decision) -> Failure | None:
    """The last failure of a write that is about to be tried again: it stands until it succeeds."""
    status = body.get("status", {})
    if decision.plan.empty or status.get("observedGeneration") != body["metadata"]["generation"]:
        return None
    return next(
        (
            Failure(condition["reason"], condition["message"])
            for condition in status.get("conditions", ())
            if condition["type"] == READY and condition["reason"] in {APPLY_FAILED, WRITE_FAILED}
        ),
        None,
    )


def _has_data(server: HomeServer, world: World) -> bool:
    """Whether this homeserver has lived: its volumes outlive it, its Deployments do not.

    What goes with a predecessor is data no more.
    """
    kept = (*world.of_kind("PersistentVolumeClaim").values(), *world.of_kind("Deployment").values())
    return not all(is_anothers(each, server.uid) for each in kept)


def _generate(server: HomeServer, source: Source) -> Generate:
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": object_meta(
            server,
            source.object.name,
            component=source.purpose,
            # The signing key is the server's identity: it stays unless its owner says otherwise.
            owned=server.retention.secrets == "Delete",
        ),
        "type": "Opaque",
    }
    return Generate(manifest, tuple((key, source.generates or "") for _file, key in source.keys))
