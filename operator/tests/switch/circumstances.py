"""Stories of what else decides when processes may stop: room, secrets, consent and time."""

from collections import Counter
from datetime import timedelta
from typing import Any

from tests.switch.kubelet import Faults
from tests.switch.objects import Objects
from tests.switch.simulation import Simulation
from tests.switch.stories import Stage, Uids, pods, restarted, serving

from homeserver_operator.api.names import APPROVED_PLAN_ANNOTATION, PROCESS_LABEL, REVISION_LABEL
from homeserver_operator.api.world import ObjectKey

Spec = dict[str, Any]

WINDOW = {"start": "06:00", "duration": "1h"}


def crowd(sim: Simulation, room: int = 0) -> None:
    """There is room for so many pods more than there are."""
    placed = sum(1 for pod in sim.objects.of_kind("Pod") if pod["spec"].get("nodeName"))
    sim.kubelet.faults = Faults(room=placed + room)


def crowded(stage: Stage, spec: Spec, restarts: set[str], room: int, seed: int) -> None:
    """New pods find no room beside the old ones, or too little: these stop first.

    Where no epoch rises, a group of several serves on meanwhile.
    """
    sim = stage.begin(seed)
    sim.oracle.excused = sim.oracle.one_by_one = True
    before = pods(sim)
    crowd(sim, room)
    sim.replace(spec)
    stage.at_rest(sim)
    assert restarted(before, pods(sim)) == restarts


def corrected(stage: Stage, mistake: Spec, spec: Spec, group: str, seed: int) -> None:
    """Where there is no room, Synapse refuses an edit of a group; another one puts that right."""
    sim = stage.begin(seed)
    sim.oracle.excused = sim.oracle.one_by_one = True
    before = pods(sim)
    crowd(sim)
    known = _configurations(sim)
    sim.kubelet.faults.of = lambda name: None if name in known else "refused"
    sim.replace(mistake)
    sim.settle()
    assert len(before[group] & serving(sim)) == len(before[group]) - 1
    refused = _configurations(sim) - known
    sim.kubelet.faults.of = lambda name: "refused" if name in refused else None
    sim.replace(spec)
    stage.at_rest(sim)
    assert restarted(before, pods(sim)) == {group}


def _configurations(sim: Simulation) -> frozenset[str]:
    return frozenset(key.name for key in sim.objects.live if key.kind == "ConfigMap")


def in_waves(stage: Stage, spec: Spec, seed: int) -> None:
    """An edit of everybody for which no epoch rises: those whom others call come last, singly."""
    sim = stage.begin(seed)
    sim.replace(spec)
    while sim.step():
        sets = Counter(
            each["metadata"]["labels"].get(PROCESS_LABEL)
            for each in sim.objects.of_kind("ReplicaSet")
            if each["spec"]["replicas"]
        )
        moving = {process for process in pods(sim) if sets[process] > 1}
        single = moving & {"main", "persister-0"}
        assert len(single) <= 1, f"{single} restart at the same time"
        assert not (single and moving - single), f"{moving} restart at the same time"
    stage.at_rest(sim)


def secret_rotated(stage: Stage, steps: int, seed: int) -> None:
    """Everybody gets the new secret at once; a pod that comes anew before has the old one."""
    sim = stage.begin(seed)
    sim.oracle.excused = True
    before, old = pods(sim), _secrets(sim)
    key = ObjectKey("Secret", f"{sim.objects.homeserver['metadata']['name']}-replication")
    sim.objects.references[key] = dict.fromkeys(sim.objects.references[key] or (), b"rotated")
    sim.operator.awake = True
    sim.run(steps)
    for process in ("main", "persister-0"):
        for pod in _pods_of(sim.objects, process):
            sim.objects.delete(ObjectKey("Pod", pod))
    sim.spread()
    stage.at_rest(sim)
    assert restarted(before, pods(sim)) == set(before)
    assert len(old) == 1
    assert len(_secrets(sim)) == 1
    assert old != _secrets(sim)


def _secrets(sim: Simulation) -> set[str]:
    return {each.launcher.launch.secret for each in sim.kubelet.machines.values() if each.launcher}


def _pods_of(objects: Objects, process: str) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in objects.of_kind("Pod")
        if pod["metadata"]["labels"].get(PROCESS_LABEL) == process
    ]


def approved(stage: Stage, spec: Spec, restarts: set[str], seed: int) -> None:
    """An edit waits for an approval; a group grows meanwhile, with what it has."""
    sim = stage.begin(seed)
    sim.replace(spec)
    sim.settle()
    before = _held(_staying(stage, spec), pods(sim))
    workers = [dict(worker) for worker in spec["workers"]]
    # One that is new may have to wait itself, and one that is to have nobody is to go on so.
    grows = next(
        worker
        for worker in workers
        if "serves" in worker and worker["name"] in before and worker["replicas"]
    )
    grows["replicas"] += 2
    process = grows["name"]
    revisions = _revisions(sim, process)
    sim.edit(workers=workers)
    sim.settle()
    grown = _held(before, pods(sim))
    assert len(grown[process]) == len(before[process]) + 2
    assert _revisions(sim, process) == revisions
    approve(sim, "another-plan")
    sim.settle()
    _held(grown, pods(sim))
    approve(sim, sim.objects.homeserver["status"]["plan"]["id"])
    stage.at_rest(sim)
    assert restarted(before, pods(sim)) == restarts


def approve(sim: Simulation, plan: str) -> None:
    """`kubectl homeserver approve`."""
    body = sim.objects.homeserver
    metadata = {**body["metadata"], "annotations": {APPROVED_PLAN_ANNOTATION: plan}}
    sim.objects.homeserver = {**body, "metadata": metadata}
    sim.operator.awake = True


def _staying(stage: Stage, spec: Spec) -> Uids:
    """The pods of all but the groups that only serve and are to go, which asks nobody's consent."""
    wanted = {worker["name"] for worker in spec["workers"]}
    gone = {worker["name"] for worker in stage.base.objects.homeserver["spec"]["workers"]} - wanted
    return {process: uids for process, uids in pods(stage.base).items() if process not in gone}


def _held(before: Uids, now: Uids) -> Uids:
    """Nobody has stopped; the pods that there are."""
    stopped = {process for process, uids in before.items() if not uids <= now[process]}
    assert not stopped, f"{stopped} were stopped without consent"
    return now


def _revisions(sim: Simulation, process: str) -> set[str]:
    return {
        sim.objects.live[ObjectKey("Pod", pod)]["metadata"]["labels"][REVISION_LABEL]
        for pod in _pods_of(sim.objects, process)
    }


def windowed(stage: Stage, spec: Spec, restarts: set[str], steps: int, seed: int) -> None:
    """An edit waits for a window, which closes after so many steps; the next is tomorrow.

    Who has begun by then, ends: half a switch serves nobody. Without a switch that is each process
    for itself.
    """
    sim = stage.begin(seed)
    before, epochs = _staying(stage, spec), _epochs(sim)
    ours = sim.objects.homeserver["metadata"]["name"]
    sim.replace(spec)
    sim.rest()
    _held(before, pods(sim))
    for gone in pods(stage.base).keys() - before.keys():
        sim.operator.forget(f"{ours}-{gone}")
    assert not sim.operator.committed
    sim.operator.wake_up()
    opened = sim.operator.now
    assert f"{opened:%H:%M}" == WINDOW["start"]
    sim.run(steps)
    begun, undecided = _begun(sim), not sim.operator.committed
    waiting = {process for process in before if not sim.operator.starts(f"{ours}-{process}")}
    sim.operator.now = opened + timedelta(hours=1)
    sim.operator.awake = True
    sim.rest()
    after = pods(sim)
    stage.at_rest(sim)
    assert restarted(before, pods(sim)) == restarts
    switched = _epochs(sim) != epochs
    if undecided:
        _held(before if switched else {process: before[process] for process in waiting}, after)
    assert not (begun and switched) or sim.operator.now < opened + timedelta(hours=2), (
        "waits until tomorrow"
    )


def _epochs(sim: Simulation) -> dict[str, int]:
    return dict(sim.objects.homeserver["status"]["epochs"])


def _begun(sim: Simulation) -> bool:
    return any(write.startswith("scale") for write in sim.operator.writes)
