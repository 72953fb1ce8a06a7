"""The restarts of one homeserver, put together: what is due, in which order, and how far it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from homeserver_operator.api.names import MAIN
from homeserver_operator.api.restarts import Phase, Restart, Wave
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build import Manifests
from homeserver_operator.plan import waves
from homeserver_operator.plan.consent import Consent, consent
from homeserver_operator.plan.former import Move, find_moves, find_needed
from homeserver_operator.plan.handover import is_committed, is_warm
from homeserver_operator.plan.reasons import because
from homeserver_operator.plan.release import plan_id
from homeserver_operator.plan.relocation import Relocation, find_relocation
from homeserver_operator.plan.rollout import Rollout
from homeserver_operator.plan.rollouts import find_rollouts
from homeserver_operator.plan.turns import find_queue
from homeserver_operator.plan.waves import Switch
from homeserver_operator.render.paths import client_service_name
from homeserver_operator.topology import Topology


@dataclass(frozen=True)
class Restarts:
    """What restarts. `phase` is None when nothing does.

    `id` names the revisions that are wanted, for an approval. `order` holds process names wave by
    wave, `consent` the word on whether anything may start. `committed`: the switch must go on.
    `relocation` is who has to stop before anybody starts, `queue` who has to wait before it warms
    up. `moves` are route classes that somebody else is to have, `needed` who has to go on as it is
    until then.
    """

    id: str
    rollouts: Mapping[str, Rollout] = field(repr=False)
    switch: Switch | None
    order: tuple[tuple[str, ...], ...]
    consent: Consent
    committed: bool
    phase: Phase | None
    waves: tuple[Wave, ...]
    warm: frozenset[str]
    relocation: Relocation = field(default_factory=Relocation)
    queue: tuple[str, ...] = ()
    moves: Mapping[str, Move] = field(default_factory=dict, repr=False)
    needed: tuple[str, ...] = ()

    @property
    def go(self) -> bool:
        """Whether processes that run may be changed."""
        return self.consent.granted or self.committed or self.relocation.begun

    @property
    def holds_routes(self) -> bool:
        """Whether everything that leads to pods must stay as it is, because they do."""
        return self.switch is not None and not (self.committed or (self.go and self.all_warm))

    @property
    def all_warm(self) -> bool:
        """Whether the whole switch is warm."""
        return self.switch is not None and self.warm.issuperset(self.switch.members)

    @property
    def finishing(self) -> bool:
        """Whether the switch before this one is just coming to its end, and must not be disturbed.

        Its new pods would go as unready ones, and with the old ones gone already nobody would
        serve.
        """
        return self.switch is not None and any(
            self.rollouts[process].changed and self.rollouts[process].entering
            for process in self.switch.members
        )

    def may_start(self, process: str) -> bool:
        """Whether a process may get its new revision now."""
        rollout = self.rollouts[process]
        if self.relocation.processes or process in {*self.queue, *self.needed}:
            return False
        # One that was to go, and is let go already, would come back as it was.
        gone = rollout.live is None or not rollout.live["spec"].get("replicas", 1)
        if self.finishing and (rollout.changed or gone):
            return False
        if rollout.changed and self._takes_over(rollout):
            return False
        if not rollout.changed:
            # New processes that would only wait for a held switch need not be there yet.
            waits = self.switch is not None and process in self.switch.members
            return self.go or rollout.live is not None or not waits
        return (self.go or not rollout.established) and waves.may_start(
            rollout, self.order, self.switch
        )

    def _takes_over(self, rollout: Rollout) -> bool:
        """Whether its pods listen for those who end, and are about to serve.

        A group's Service leads to whoever is of it then: also to pods of another edit, which do not
        listen yet.
        """
        about_to = rollout.warm and not rollout.ready
        return bool(about_to) and any(each.entering for each in self.rollouts.values())

    def scales_who_stays(self, manifest: Object) -> bool:
        """Whether an object is the autoscaler of a group that goes on, and is to have somebody."""
        if manifest["kind"] != "HorizontalPodAutoscaler":
            return False
        target = manifest["spec"]["scaleTargetRef"]["name"]
        return any(
            rollout.live is not None
            and rollout.wanted is not None
            and rollout.wanted["metadata"]["name"] == target
            and not rollout.emptied
            for rollout in self.rollouts.values()
        )

    def handed_over(self, process: str) -> bool:
        """Whether Services may lead to the new revision, and the old pods be let go."""
        rollout = self.rollouts[process]
        if self.switch and process in self.switch.members:
            return not self.holds_routes
        return rollout.applied and (process in self.warm or rollout.ready > 0)


def find_restarts(
    server: HomeServer, topology: Topology, manifests: Manifests, world: World, now: datetime
) -> Restarts:
    """Everything that restarts, from what is wanted and what lives."""
    rollouts = find_rollouts(server, manifests.synapse, world)
    switch = waves.find_switch(rollouts, manifests.fences)
    moves = find_moves(server, topology, manifests, rollouts, world, switching=switch is not None)
    # All who switch do so together, and are not waited with for anybody else.
    needed = () if switch else tuple(find_needed(moves.values(), rollouts))
    order = waves.order(rollouts, topology, switch, needed)
    members = switch.members if switch else ()
    freed = [replica_set for member in members for replica_set in rollouts[member].outdated]
    warm = frozenset(
        process for wave in order for process in wave if is_warm(rollouts[process], freed, world)
    )
    main_service = world.children.get(ObjectKey("Service", client_service_name(server, MAIN)))
    name = plan_id(manifests)
    committed = switch is not None and is_committed(
        switch, rollouts, manifests.fences, main_service, world
    )
    restarting = any(rollouts[process].disturbed for wave in order for process in wave)
    word = (
        consent(server.restart_policy, name, server.approved_plan, now)
        if restarting
        else Consent(True, "nothing that runs restarts")
    )
    # Once old processes end, whoever is not there yet is missed.
    first = () if committed else next(iter(order), ())
    restarts = Restarts(
        id=name,
        rollouts=rollouts,
        switch=switch,
        order=order,
        consent=word,
        committed=committed,
        phase=None,
        waves=(),
        warm=warm,
        relocation=find_relocation(rollouts, _contents(manifests), world),
        queue=find_queue(first, rollouts, warm, server.restart_policy.max_warming),
        moves=moves,
        needed=needed,
    )
    return _with_words(restarts, manifests, world)


def _contents(manifests: Manifests) -> dict[str, Object]:
    return {item["metadata"]["name"]: item for item in manifests.content}


def _with_words(restarts: Restarts, manifests: Manifests, world: World) -> Restarts:
    """With reasons and phase, where anything restarts at all."""
    contents = _contents(manifests)
    told = []
    for index, wave in enumerate(restarts.order):
        processes = [p for p in wave if _restarts(restarts.rollouts[p])]
        if not processes:
            continue
        rising = restarts.switch.fences if restarts.switch and index == 0 else frozenset()
        told.append(
            Wave(
                tuple(
                    Restart(p, because(restarts.rollouts[p], contents, world)) for p in processes
                ),
                {fence: manifests.fences.marks[fence].epoch for fence in sorted(rising)},
            )
        )
    if not told:
        return restarts
    return replace(restarts, waves=tuple(told), phase=_phase(restarts))


def _restarts(rollout: Rollout) -> bool:
    """Whether something that runs ends or begins anew."""
    return rollout.wanted is None or rollout.changed or bool(rollout.old)


def _phase(restarts: Restarts) -> Phase:
    first = [restarts.rollouts[process] for process in restarts.order[0]]
    if not restarts.go:
        return Phase.HELD
    if restarts.relocation.processes:
        return Phase.SWITCHING
    if any(rollout.changed for rollout in first) or not restarts.warm.issuperset(restarts.order[0]):
        return Phase.SWITCHING if restarts.committed else Phase.WARMING
    if any(rollout.old for rollout in first):
        return Phase.SWITCHING
    return Phase.SETTLING
