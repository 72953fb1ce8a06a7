"""Stories that are told of any operator: an edit, and what may come in between."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.switch.operator import Death, Moment
from tests.switch.oracle import processes, template_epochs
from tests.switch.settled import shortcomings
from tests.switch.simulation import Simulation

from homeserver_operator.api.names import PROCESS_LABEL
from homeserver_operator.api.world import Object, ObjectKey

Sizes = dict[str, int | None]
Uids = dict[str, frozenset[str]]


@dataclass(frozen=True)
class Stage:
    """A world at rest, and what a spec asks for: pods by process (None: whatever they are)."""

    base: Simulation
    wanted: Callable[[Object], Sizes]

    def begin(self, seed: int) -> Simulation:
        """The same world; seeds also differ in how reading and kube-proxy interleave."""
        sim = self.base.fork(seed)
        sim.prompt, sim.operator.split = seed % 2 == 0, seed % 3 == 0
        sim.operator.writes.clear()
        return sim

    def at_rest(self, sim: Simulation) -> Simulation:
        """Settle, and be as wanted."""
        sim.settle()
        wrong = list(shortcomings(sim, self.wanted(sim.objects.homeserver)))
        assert not wrong, "\n".join([*wrong, "---", sim.tale()])
        return sim


def pods(sim: Simulation) -> Uids:
    """Pods of each process by uid."""
    found: dict[str, set[str]] = {
        item["metadata"]["labels"][PROCESS_LABEL]: set() for item in processes(sim.objects)
    }
    for pod in sim.objects.of_kind("Pod"):
        process = pod["metadata"]["labels"].get(PROCESS_LABEL)
        if process in found:
            found[process].add(pod["metadata"]["uid"])
    return {process: frozenset(uids) for process, uids in found.items()}


def serving(sim: Simulation) -> frozenset[str]:
    """Pods that are in, by uid."""
    return frozenset(
        sim.objects.live[ObjectKey("Pod", name)]["metadata"]["uid"]
        for name, machine in sim.kubelet.machines.items()
        if machine.launcher and machine.launcher.phase in {"entered", "serving"}
    )


def restarted(before: Uids, after: Uids) -> set[str]:
    """Processes that have other pods; growing and shrinking alone does not count."""
    return {
        process
        for process in before.keys() & after.keys()
        if not (before[process] <= after[process] or after[process] <= before[process])
    }


def edited(stage: Stage, spec: dict[str, Any], restarts: set[str], seed: int) -> Simulation:
    """An edit without disturbance: exactly these processes restart, and no client is unheard."""
    sim = stage.begin(seed)
    before = pods(sim)
    scaled = {
        process for process, size in stage.wanted(sim.objects.homeserver).items()
        if stage.wanted({**sim.objects.homeserver, "spec": spec}).get(process) != size
    }  # fmt: skip
    sim.oracle.untouched = frozenset(before.keys() - restarts - scaled)
    sim.replace(spec)
    stage.at_rest(sim)
    assert restarted(before, pods(sim)) == restarts
    if sim.prompt:
        assert not _unheard(sim), f"nobody listened for {_unheard(sim)}"
    return sim


def _unheard(sim: Simulation) -> list[str]:
    """What led clients to nobody who listens, if only for a moment, and still exists.

    Services of single processes, and Ingresses, whoever is behind them.
    """
    found = {"Service": sim.oracle.gaps, "Ingress": sim.oracle.unanswered}
    return [
        f"{kind} {name}"
        for kind, names in found.items()
        for name in names
        if ObjectKey(kind, name) in sim.objects.live
    ]


def edited_again(
    stage: Stage, first: dict[str, Any], second: dict[str, Any], *, steps: int, seed: int
) -> list[str]:
    """Another edit comes before the first is done; the Services for which nobody listened."""
    sim = stage.begin(seed)
    sim.prompt = True
    sim.replace(first)
    sim.run(steps)
    sim.replace(second)
    stage.at_rest(sim)
    return _unheard(sim)


def deaths(stage: Stage, spec: dict[str, Any], seed: int) -> Iterator[Death]:
    """Every point at which the operator may die during an edit."""
    sim = stage.begin(seed)
    sim.replace(spec)
    stage.at_rest(sim)
    for number in range(len(sim.operator.writes)):
        yield from (Death(number, moment) for moment in Moment)


def dies(stage: Stage, spec: dict[str, Any], death: Death, seed: int) -> None:
    """The operator dies at one of its writes."""
    sim = stage.begin(seed)
    sim.operator.death = death
    sim.replace(spec)
    stage.at_rest(sim)
    assert sim.operator.death is None, "it lived"
    assert not (sim.prompt and _unheard(sim)), f"nobody listened for {_unheard(sim)}"


def reverted(stage: Stage, spec: dict[str, Any], steps: int, seed: int) -> bool:
    """The edit is taken back after so many steps. False: there were not so many.

    Until the operator has decided to let old processes go, none of them notices; unless a new one,
    for which no fence has to be waited for, serves already.
    """
    sim = stage.begin(seed)
    before, old = pods(sim), dict(sim.objects.homeserver["spec"])
    sim.replace(spec)
    sim.run(steps)
    over = len(sim.story) <= steps
    known = frozenset[str]().union(*before.values())
    harmless = not sim.operator.committed and serving(sim) <= known
    free = _free(stage, sim, spec)
    sim.replace(old)
    stage.at_rest(sim)
    if harmless:
        assert not (sim.prompt and _unheard(sim)), f"nobody listened for {_unheard(sim)}"
        after, kept = pods(sim), before.keys() - free
        touched = {process for process in kept if after.get(process) != before[process]}
        assert not touched, f"{touched} restarted, though nothing was decided"
        restarts = [machine.restarts for machine in sim.kubelet.machines.values()]
        assert not any(restarts)
    return not over


def _free(stage: Stage, sim: Simulation, spec: dict[str, Any]) -> set[str]:
    """Processes whose pods change without a decision: scaled ones, and groups without a fence."""
    body = sim.objects.homeserver
    then, now = stage.wanted(stage.base.objects.homeserver), stage.wanted({**body, "spec": spec})
    free = {process for process in then if now.get(process, then[process]) != then[process]}
    for name, machine in sim.kubelet.machines.items():
        if not machine.launcher or machine.launcher.launch.name != name:
            continue
        process = sim.objects.live[ObjectKey("Pod", name)]["metadata"]["labels"][PROCESS_LABEL]
        live = sim.objects.live.get(_deployment(sim, process))
        # A group that only serves, and is gone already, comes anew.
        if not live or template_epochs(live["spec"]["template"]) == machine.launcher.launch.fences:
            free.add(process)
    return free


def hopeless(
    stage: Stage,
    spec: dict[str, Any],
    spoil: Callable[[Simulation, frozenset[str]], None],
    seed: int,
    kept: frozenset[str] = frozenset(),
) -> None:
    """The edit leads to pods that never run; the old ones serve until it is taken back.

    `kept` are those of whom that holds where the others may go ahead; else it holds of all.
    """
    sim = stage.begin(seed)
    before, old = pods(sim), dict(sim.objects.homeserver["spec"])
    held = kept or frozenset(before)
    known = frozenset(key.name for key in sim.objects.live if key.kind == "ConfigMap")
    spoil(sim, known)
    sim.replace(spec)
    sim.settle()
    now = pods(sim)
    stopped = {name for name in held if not before[name] <= now.get(name, frozenset())}
    assert not stopped, f"{stopped} were stopped"
    assert kept or not sim.operator.committed, "old processes were let go"
    assert not (sim.prompt and _unheard(sim)), f"nobody listened for {_unheard(sim)}"
    sim.replace(old)
    stage.at_rest(sim)
    after = pods(sim)
    assert not {name for name in held if before[name] != after[name]}


def recreated(stage: Stage, spec: dict[str, Any], seed: int) -> None:
    """The HomeServer is edited, deleted, and made again as it was; its database remembers."""
    sim = stage.begin(seed)
    sim.replace(spec)
    stage.at_rest(sim)
    sim.oracle.excused = True
    old = stage.base.objects.homeserver["spec"]
    body = sim.objects.homeserver
    metadata = {**body["metadata"], "uid": f"{body['metadata']['uid']}-again", "generation": 1}
    again = {key: value for key, value in body.items() if key != "status"}
    sim.objects.homeserver = {**again, "metadata": metadata, "spec": old}
    for key in list(sim.objects.garbage()):
        sim.objects.delete(key)
    # Kept ones are found by their names, and belong to nobody.
    sim.operator.die()
    sim.spread()
    if seed % 2:
        # So late that no object changes when they learn that they are too late.
        sim.held = frozenset({"enter"})
        sim.settle()
        sim.held = frozenset()
    stage.at_rest(sim)


def status_lost(stage: Stage, spec: dict[str, Any], seed: int) -> None:
    """After an edit the HomeServer comes back from a backup without its status: nobody notices."""
    sim = stage.begin(seed)
    sim.replace(spec)
    stage.at_rest(sim)
    before = pods(sim)
    body = sim.objects.homeserver
    sim.objects.homeserver = {key: value for key, value in body.items() if key != "status"}
    sim.operator.die()
    stage.at_rest(sim)
    assert pods(sim) == before


def restart_by_hand(stage: Stage, process: str, steps: int, seed: int, **spec: Any) -> None:
    """`kubectl rollout restart`, perhaps in the middle of an edit."""
    sim = stage.begin(seed)
    if spec:
        # What was warm when the operator decided need not be so any more.
        sim.oracle.excused = True
        sim.edit(**spec)
    sim.run(steps)
    key = _deployment(sim, process)
    live = sim.objects.live[key]
    template = live["spec"]["template"]
    notes = {
        **template["metadata"].get("annotations", {}),
        "kubectl.kubernetes.io/restartedAt": "now",
    }
    template = {**template, "metadata": {**template["metadata"], "annotations": notes}}
    sim.objects.put({**live, "spec": {**live["spec"], "template": template}})
    sim.spread()
    stage.at_rest(sim)


def undone_by_hand(stage: Stage, process: str, spec: dict[str, Any], steps: int, seed: int) -> None:
    """`kubectl rollout undo` after, or in the middle of, an edit."""
    sim = stage.begin(seed)
    before = sim.objects.live[_deployment(sim, process)]["spec"]["template"]
    sim.replace(spec)
    sim.run(steps)
    key = _deployment(sim, process)
    live = sim.objects.live[key]
    sim.objects.put({**live, "spec": {**live["spec"], "template": before}})
    sim.spread()
    stage.at_rest(sim)


def scaled_by_others(
    stage: Stage, process: str, replicas: int, spec: dict[str, Any], *, steps: int, seed: int
) -> None:
    """An autoscaler changes its mind in the middle of an edit."""
    sim = stage.begin(seed)
    sim.replace(spec)
    sim.run(steps)
    # Pods that came after the operator had decided need not be warm.
    sim.oracle.excused = sim.operator.committed
    sim.objects.scale_object(_deployment(sim, process), replicas, manager="autoscaler")
    sim.spread()
    stage.at_rest(sim)
    assert len(pods(sim)[process]) == replicas


def troubled(stage: Stage, spec: dict[str, Any], seed: int, *, faults: int = 3) -> None:
    """Processes die and lock sessions end, now and then, and so does the operator."""
    sim = stage.begin(seed)
    sim.oracle.excused = True
    sim.replace(spec)
    for _ in range(faults):
        sim.run(sim.random.randrange(60))
        sim.random.choice([sim.crash_somebody, sim.lose_lock_session, sim.operator.die])()
    stage.at_rest(sim)


def _deployment(sim: Simulation, process: str) -> ObjectKey:
    return ObjectKey("Deployment", f"{sim.objects.homeserver['metadata']['name']}-{process}")
