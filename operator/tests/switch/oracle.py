"""What must hold at every step, judged from what processes believe and do, never from the plan.

Above all: two live processes never read different lists of who writes and who sends what. That is
what epochs are for, and it is looked at here without them.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.switch.fences import Database, Launcher, Session
from tests.switch.kubelet import Kubelet
from tests.switch.objects import Change, Objects
from tests.switch.replicasets import is_leaving
from tests.switch.services import Proxy, endpoints

from homeserver_operator.api.names import GROUP, PROCESS_LABEL, REVISION_LABEL, ROLE_LABEL
from homeserver_operator.api.world import Object, ObjectKey

TOPOLOGY_EPOCH_LABEL = f"{GROUP}/topology-epoch"
FENCES_ANNOTATION = f"{GROUP}/fences"
REPLICATION_NAME = re.compile(r".*-e(\d+)")


class BrokenError(AssertionError):
    """Something happened that must never happen."""


@dataclass
class Oracle:
    """Watches one simulation. `untouched` processes get no other pods, unless they are scaled."""

    untouched: frozenset[str] = frozenset()
    excused: bool = False
    """Whether people, or want of room, may stop processes before others are warm."""
    one_by_one: bool = False
    """Whether pods of a group without an epoch may then only stop one at a time all the same."""
    gaps: Counter[str] = field(default_factory=Counter)
    """Steps in which a client Service of one process led to somebody who does not listen."""
    unanswered: Counter[str] = field(default_factory=Counter)
    """Steps in which an Ingress led to nobody, or to somebody who does not listen."""
    _heard: set[str] = field(default_factory=set)
    _open: bool = False
    """Whether every request had an answer at some time: so it shall be, by whichever Ingress."""

    def notice(self, change: Change, objects: Objects, kubelet: Kubelet) -> None:
        """A write of anybody's."""
        before, after = change.before, change.after
        if after is None:
            return
        if change.key.kind == "Pod":
            if before is None:
                self._created(after)
            elif is_leaving(after) and not is_leaving(before):
                self._told_to_go(after)
        elif change.key.kind == "ReplicaSet" and before is not None:
            if self.one_by_one and after["spec"]["replicas"] < before["spec"]["replicas"]:
                _must_leave_the_others(after, objects, kubelet)
            self._shrunk(after, objects, kubelet)

    def _created(self, pod: Object) -> None:
        process = pod["metadata"]["labels"].get(PROCESS_LABEL)
        if process in self.untouched:
            raise BrokenError(f"{process} gets a new pod, but nothing of it has changed")

    def _told_to_go(self, pod: Object) -> None:
        process = pod["metadata"]["labels"][PROCESS_LABEL]
        if process in self.untouched:
            raise BrokenError(f"{process} is stopped, but nothing of it has changed")

    def _shrunk(self, replica_set: Object, objects: Objects, kubelet: Kubelet) -> None:
        """Judged here and not when its pods go: that is when it was decided."""
        if self.excused or replica_set["spec"]["replicas"]:
            return
        for pod in objects.controlled("Pod", replica_set):
            leaving = kubelet.machines[pod["metadata"]["name"]].launcher
            if leaving and leaving.phase == "serving" and not is_leaving(pod):
                _must_be_replaced(pod, leaving, objects, kubelet)

    def check_database(self, database: Database) -> None:
        """Whoever can write agrees with everybody else who can."""
        live = [session for session in database.sessions.values() if not session.lock]
        epochs: dict[str, set[int]] = defaultdict(set)
        maps: dict[str, dict[str, str]] = defaultdict(dict)
        names: dict[str, str] = {}
        duties: dict[str, str] = {}
        for session in live:
            launch = session.launch
            if names.setdefault(launch.name, session.pod) != session.pod:
                raise BrokenError(f"two processes of the name {launch.name} live")
            for fence, epoch in launch.fences.items():
                epochs[fence].add(epoch)
                if epoch < database.recorded.get(fence, 0):
                    raise BrokenError(f"{launch.name} lives in {fence}:{epoch}, which is over")
            for name, value in launch.beliefs.items():
                maps[name][value] = launch.name
            for duty in launch.duties:
                if duties.setdefault(duty, launch.name) != launch.name:
                    raise BrokenError(f"{duty}: {duties[duty]} and {launch.name} both do it")
        for fence, found in epochs.items():
            if len(found) > 1:
                raise BrokenError(f"two epochs of {fence} live: {_who(live)}")
        for name, believed in maps.items():
            if len(believed) > 1:
                raise BrokenError(f"{', '.join(believed.values())} disagree about {name}")

    def check_callers(self, name: str, objects: Objects, kubelet: Kubelet) -> None:
        """Whoever calls others under a Service's name reaches those of its own epoch only."""
        service = objects.live.get(ObjectKey("Service", name))
        for machine in kubelet.machines.values() if service else ():
            caller = machine.launcher
            if not caller or caller.phase != "serving" or name not in caller.launch.calls:
                continue
            epoch = str(caller.launch.fences.get("topology"))
            for pod in endpoints(service or {}, objects):
                labels = objects.live[ObjectKey("Pod", pod)]["metadata"]["labels"]
                if labels.get(TOPOLOGY_EPOCH_LABEL, epoch) != epoch:
                    raise BrokenError(f"{name} leads {machine.pod} of epoch {epoch} to {pod}")

    def check_service(self, name: str, objects: Objects) -> None:
        """A replication Service leads to pods of its epoch only."""
        found = REPLICATION_NAME.fullmatch(name)
        service = next(
            (item for item in objects.of_kind("Service") if item["metadata"]["name"] == name), None
        )
        if not found or service is None:
            return
        for pod in objects.of_kind("Pod"):
            epoch = pod["metadata"]["labels"].get(TOPOLOGY_EPOCH_LABEL)
            if epoch not in {None, found[1]} and pod["metadata"]["name"] in set(
                endpoints(service, objects)
            ):
                raise BrokenError(f"{name} leads to {pod['metadata']['name']} of epoch {epoch}")

    def listen(self, objects: Objects, kubelet: Kubelet, proxy: Proxy) -> None:
        """Count the steps in which clients are not heard."""
        self._listen_at_ingresses(objects, kubelet, proxy)
        for service in objects.of_kind("Service"):
            name = service["metadata"]["name"]
            if not service["spec"].get("publishNotReadyAddresses") or REPLICATION_NAME.fullmatch(
                name
            ):
                continue
            if proxy.heard(name, kubelet):
                self._heard.add(name)
            elif name in self._heard:
                self.gaps[name] += 1

    def _listen_at_ingresses(self, objects: Objects, kubelet: Kubelet, proxy: Proxy) -> None:
        """All paths are somebody's, and main can answer them: so one that is new is no excuse."""
        ingresses = objects.of_kind("Ingress")
        deaf = [
            ingress["metadata"]["name"]
            for ingress in ingresses
            if not all(proxy.heard(name, kubelet) for name in _backends(ingress))
        ]
        self._open = self._open or bool(ingresses and not deaf)
        if self._open:
            self.unanswered.update(deaf)


def _backends(ingress: Object) -> set[str]:
    return {
        path["backend"]["service"]["name"]
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    }


def _must_be_replaced(pod: Object, leaving: Launcher, objects: Objects, kubelet: Kubelet) -> None:
    """All pods that come after this one, of its process and of its fences, are warm."""
    labels = pod["metadata"]["labels"]
    if _others_serve(pod, objects, kubelet):
        return
    for deployment in objects.of_kind("Deployment"):
        template = deployment["spec"]["template"]
        own = deployment["metadata"]["labels"].get(PROCESS_LABEL) == labels[PROCESS_LABEL]
        revision = template["metadata"]["labels"].get(REVISION_LABEL)
        if own and revision == labels.get(REVISION_LABEL):
            continue
        if own or _later(template, leaving):
            _must_be_warm(deployment, pod, objects, kubelet)


def _must_leave_the_others(replica_set: Object, objects: Objects, kubelet: Kubelet) -> None:
    """Of a group at most one pod is missing at a time, so that its class goes on being served."""
    owner = replica_set["metadata"]["ownerReferences"][0]["uid"]
    for deployment in objects.of_kind("Deployment"):
        template = deployment["spec"]["template"]
        switches = template_epochs(template) != template_epochs(replica_set["spec"]["template"])
        if deployment["metadata"]["uid"] != owner or switches:
            continue
        staying = 0
        for each in objects.controlled("ReplicaSet", deployment):
            machines = [
                kubelet.machines[pod["metadata"]["name"]]
                for pod in objects.controlled("Pod", each)
                if not is_leaving(pod)
            ]
            serving = sum(bool(m.launcher and m.launcher.phase == "serving") for m in machines)
            staying += min(serving, each["spec"]["replicas"])
        wanted = deployment["spec"]["replicas"]
        if staying < wanted - 1:
            name = replica_set["metadata"]["name"]
            raise BrokenError(f"{name} shrinks until only {staying} of {wanted} pods serve")


def _others_serve(leaving: Object, objects: Objects, kubelet: Kubelet) -> bool:
    """Whether its process has as many pods as it should without it."""
    process = leaving["metadata"]["labels"][PROCESS_LABEL]
    wanted = [
        item["spec"]["replicas"]
        for item in objects.of_kind("Deployment")
        if item["metadata"]["labels"].get(PROCESS_LABEL) == process
    ]
    serving = [
        pod
        for pod in objects.of_kind("Pod")
        if pod["metadata"]["labels"].get(PROCESS_LABEL) == process and not is_leaving(pod)
        if (launcher := kubelet.machines[pod["metadata"]["name"]].launcher)
        if launcher.phase == "serving"
    ]
    return bool(wanted and wanted[0]) and len(serving) >= wanted[0]


def _later(template: Object, launcher: Launcher) -> bool:
    """Whether pods of a template wait for this launcher to be gone."""
    return any(
        epoch > launcher.launch.fences.get(fence, epoch)
        for fence, epoch in template_epochs(template).items()
    )


def template_epochs(template: Object) -> dict[str, int]:
    text = template["metadata"].get("annotations", {}).get(FENCES_ANNOTATION, "{}")
    return {fence: each["epoch"] for fence, each in json.loads(text).items()}


def _must_be_warm(deployment: Object, leaving: Object, objects: Objects, kubelet: Kubelet) -> None:
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    if labels.get(ROLE_LABEL) not in {"main", "worker"}:
        return
    process, revision = labels[PROCESS_LABEL], labels.get(REVISION_LABEL)
    # What a group of several may do without an epoch is the Deployment controller's business.
    same = leaving["metadata"]["labels"][PROCESS_LABEL] == process
    # Whoever adds pods to a group in the middle need not be waited for.
    old = sum(
        1
        for pod in objects.of_kind("Pod")
        if pod["metadata"]["labels"].get(PROCESS_LABEL) == process
        if pod["metadata"]["labels"].get(REVISION_LABEL) != revision
        if (launcher := kubelet.machines[pod["metadata"]["name"]].launcher)
        if launcher.phase == "serving"
    )
    wanted = min(deployment["spec"]["replicas"], old or deployment["spec"]["replicas"])
    able = [
        machine.launcher
        for pod in objects.of_kind("Pod")
        if pod["metadata"]["labels"].get(PROCESS_LABEL) == process and not is_leaving(pod)
        if (machine := kubelet.machines[pod["metadata"]["name"]]).launcher
        if (same and machine.launcher.phase == "serving")
        or pod["metadata"]["labels"].get(REVISION_LABEL) == revision
    ]
    warm = [launcher for launcher in able if launcher.warm]
    if len(warm) < wanted:
        raise BrokenError(
            f"{leaving['metadata']['name']} is stopped while {wanted - len(warm)} of {wanted} "
            f"pods of {process} are not warm"
        )


def _who(live: list[Session]) -> str:
    return ", ".join(f"{each.launch.name} {dict(each.launch.fences)}" for each in live)


def processes(objects: Objects) -> Iterator[Object]:
    """Deployments of Synapse."""
    for deployment in objects.of_kind("Deployment"):
        if deployment["metadata"]["labels"].get(ROLE_LABEL) in {"main", "worker"}:
            yield deployment
