"""Scheduler and kubelet: pods get a node, containers start, crash and go, statuses follow later."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.switch.fences import Database, Launch, Launcher, digest, parsed
from tests.switch.objects import Change, Objects
from tests.switch.replicasets import is_leaving

from homeserver_operator.api.names import REVISION_LABEL, ROLE_LABEL
from homeserver_operator.api.world import Object, ObjectKey

Container = Literal["none", "no-image", "no-volume", "running", "backoff"]
NO_ROOM = (
    "0/3 nodes are available: 1 node(s) had untolerated taint "
    "{node-role.kubernetes.io/control-plane: }, 2 Insufficient memory."
)
NO_NODE = (
    "0/3 nodes are available: 1 Insufficient memory, "
    "2 node(s) didn't match Pod's node affinity/selector."
)
CORDONED = "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient memory."
LAST_RESTART = 2
"""Restarts of a container that is refused every time; the back-off is endless from then on."""


Fault = Literal["refused", "never warm", "dies"]
"""What becomes of a process: Synapse refuses its configuration, or it never gets warm, or it is
warm and dies each time that it runs."""


@dataclass
class Faults:
    """What is wrong with the world."""

    room: int = 10_000
    """Pods for which there is a place."""
    cordoned: bool = False
    """Whether the room of those that go is on a node that takes no others."""
    bad_images: frozenset[str] = frozenset()
    of: Callable[[str], Fault | None] = lambda _config_map: None
    """What becomes of the processes that mount a ConfigMap of this name."""


@dataclass
class Machine:
    """What a node knows of one pod."""

    pod: str
    container: Container = "none"
    restarts: int = 0
    launcher: Launcher | None = None
    last: Mapping[str, Any] | None = None
    ready: bool = False
    """For pods that are no launchers: the container runs."""


@dataclass
class Kubelet:
    """Machines by pod name; `faults` may be changed at any time."""

    faults: Faults = field(default_factory=Faults)
    machines: dict[str, Machine] = field(default_factory=dict)
    dirty: dict[str, None] = field(default_factory=dict)
    """Pods whose status may be out of date."""

    def notice(self, change: Change, database: Database) -> None:
        if change.key.kind != "Pod":
            return
        name = change.key.name
        if change.after is None:
            machine = self.machines.pop(name, None)
            if machine and machine.launcher and machine.launcher.phase != "ended":
                machine.launcher.end(database)
            self.dirty.pop(name, None)
        elif change.before is None:
            self.machines[name] = Machine(name)

    def steps(self, objects: Objects) -> list[tuple[str, str]]:
        """(what, pod): each is a method's name and whom it is about."""
        found = [("report", name) for name in self.dirty]
        for name, machine in self.machines.items():
            pod = objects.live[ObjectKey("Pod", name)]
            found += ((what, name) for what in self._steps(objects, pod, machine))
        return found

    def _steps(self, objects: Objects, pod: Object, machine: Machine) -> tuple[str, ...]:
        launcher = machine.launcher
        if not pod["spec"].get("nodeName"):
            room = not self._obstacle(objects, pod)
            return ("schedule",) if room or not _unschedulable(pod) else ()
        if is_leaving(pod):
            if machine.container != "running" or (launcher and launcher.phase == "ended"):
                return ("remove",)
            return ("terminate",) if not (launcher and launcher.told_to_go) else ()
        return self._container_steps(objects, pod, machine)

    def _container_steps(self, objects: Objects, pod: Object, machine: Machine) -> tuple[str, ...]:
        match machine.container:
            case "running":
                return self._running_steps(pod, machine)
            case "backoff":
                again = machine.restarts < LAST_RESTART or self._fault(pod) is None
                return ("restart",) if again else ()
        changed = self._startable(objects, pod) != machine.container
        return ("start",) if changed else ()

    def _running_steps(self, pod: Object, machine: Machine) -> tuple[str, ...]:
        if machine.launcher is None:
            return () if machine.ready else ("come_up",)
        match machine.launcher.phase, self._fault(pod):
            case "ended", _:
                return ("notice_end",)
            case "warming", "refused":
                return ("refuse",)
            case "serving", "dies":
                return ("die",)
        return ()

    def launcher_steps(self, objects: Objects, database: Database) -> list[tuple[str, str]]:
        """What launchers can do by themselves."""
        found: list[tuple[str, str]] = []
        for name, machine in self.machines.items():
            if machine.launcher and machine.container == "running":
                pod = objects.live[ObjectKey("Pod", name)]
                if machine.launcher.phase == "warming" and self._fault(pod) in {
                    "refused",
                    "never warm",
                }:
                    continue
                found += ((what, name) for what in machine.launcher.steps(database))
        return found

    def advance(self, what: str, name: str, database: Database) -> None:
        """A launcher's own step."""
        launcher = self.machines[name].launcher
        assert launcher is not None
        getattr(launcher, what)(database)
        self.dirty[name] = None

    def act(self, what: str, name: str, objects: Objects, database: Database) -> None:
        """A step of the scheduler's or the kubelet's."""
        pod, machine = objects.live[ObjectKey("Pod", name)], self.machines[name]
        self.dirty[name] = None
        match what:
            case "schedule":
                self._schedule(objects, pod)
            case "start":
                machine.container = self._startable(objects, pod)
                if machine.container == "running":
                    self._run(objects, pod, machine)
            case "restart":
                machine.container, machine.restarts = "running", machine.restarts + 1
                self._run(objects, pod, machine)
            case "come_up":
                machine.ready = True
            case "refuse" | "notice_end" | "die":
                code, words = (78, "server_name is missing") if what == "refuse" else (1, "ended")
                self._stop(machine, database, code, words)
            case "terminate":
                if machine.launcher:
                    machine.launcher.terminate(database)
                else:
                    machine.container = "none"
            case "remove":
                if machine.launcher and machine.launcher.phase != "ended":
                    machine.launcher.end(database)
                objects.forget(ObjectKey("Pod", name))
            case "report":
                del self.dirty[name]
                objects.put({**pod, "status": self.status(pod, machine)})

    def crash(self, name: str, database: Database) -> None:
        """The process dies; its container is started again in the same pod."""
        machine = self.machines[name]
        machine.ready = False
        self._stop(machine, database, 137, "killed")
        self.dirty[name] = None

    @staticmethod
    def _stop(machine: Machine, database: Database, code: int, message: str) -> None:
        if machine.launcher:
            machine.launcher.end(database)
        machine.container = "backoff"
        machine.last = {"exitCode": code, "message": message, "reason": "Error"}

    def _schedule(self, objects: Objects, pod: Object) -> None:
        condition = {"type": "PodScheduled", "status": "True"}
        spec = pod["spec"]
        if obstacle := self._obstacle(objects, pod):
            condition |= {"status": "False", "reason": "Unschedulable", "message": obstacle}
        else:
            spec = {**spec, "nodeName": "node-1"}
        objects.put(
            {**pod, "spec": spec, "status": {"phase": "Pending", "conditions": [condition]}}
        )

    def _obstacle(self, objects: Objects, pod: Object) -> str | None:
        """Why a pod gets no node. Pods that are going take up room until they are gone."""
        if pod["spec"].get("nodeSelector"):
            return NO_NODE
        if self.faults.cordoned:
            return CORDONED
        placed = sum(1 for pod in objects.of_kind("Pod") if pod["spec"].get("nodeName"))
        return NO_ROOM if placed >= self.faults.room else None

    def _startable(self, objects: Objects, pod: Object) -> Container:
        spec = pod["spec"]
        for volume in spec.get("volumes", ()):
            source = volume.get("configMap")
            if source and ObjectKey("ConfigMap", source["name"]) not in objects.live:
                return "no-volume"
        images = {container["image"] for container in spec["containers"]}
        return "no-image" if images & self.faults.bad_images else "running"

    def _fault(self, pod: Object) -> Fault | None:
        return self.faults.of(_config(pod))

    @staticmethod
    def _run(objects: Objects, pod: Object, machine: Machine) -> None:
        labels = pod["metadata"]["labels"]
        if labels.get(ROLE_LABEL) not in {"main", "worker"}:
            return
        # A container that is started again reads the volume that its pod mounted at first.
        launch = machine.launcher.launch if machine.launcher else _launch(objects, pod)
        machine.launcher = Launcher(machine.pod, launch)

    def status(self, pod: Object, machine: Machine) -> dict[str, Any]:
        """What the kubelet reports of a pod that has a node."""
        if not pod["spec"].get("nodeName"):
            return dict(pod["status"])
        launcher, running = machine.launcher, machine.container == "running"
        ready = running and (launcher.phase == "serving" if launcher else machine.ready)
        started = running and (launcher.warm if launcher else machine.ready)
        state: dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}}
        match machine.container:
            case "no-image":
                state = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
            case "running":
                state = {"running": {}}
            case "backoff":
                state = {"waiting": {"reason": "CrashLoopBackOff"}}
        container = {
            "name": pod["spec"]["containers"][0]["name"],
            "image": pod["spec"]["containers"][0]["image"],
            "started": started,
            "ready": ready,
            "restartCount": machine.restarts,
            "state": state,
            "lastState": {"terminated": machine.last} if machine.last else {},
        }
        return {
            # Once it has run, a pod is Running even while its container waits to be started again.
            "phase": "Running" if running or machine.last else "Pending",
            "podIP": f"10.0.{pod['metadata']['uid'].removeprefix('child-')}",
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "ContainersReady", "status": str(ready)},
                {"type": "Ready", "status": str(ready)},
            ],
            "containerStatuses": [container],
        }


def _unschedulable(pod: Object) -> bool:
    return any(
        item["type"] == "PodScheduled" and item["status"] == "False"
        for item in pod["status"].get("conditions", ())
    )


def _config(pod: Object) -> str:
    """The ConfigMap with launcher.yaml: the first that a pod mounts."""
    for volume in pod["spec"].get("volumes", ()):
        if "configMap" in volume:
            return str(volume["configMap"]["name"])
    return ""


def _launch(objects: Objects, pod: Object) -> Launch:
    data = objects.live[ObjectKey("ConfigMap", _config(pod))]["data"]
    launcher = parsed(data["launcher.yaml"])
    return Launch(
        name=launcher["name"] or pod["metadata"]["name"],
        role=launcher["role"],
        revision=pod["metadata"]["labels"].get(REVISION_LABEL, ""),
        fences=launcher.get("fences") or {},
        homeserver=parsed(data["homeserver.yaml"]),
        secret=_replication_secret(objects, pod),
        contents=launcher.get("fence_contents") or {},
    )


def _replication_secret(objects: Objects, pod: Object) -> str:
    for volume in pod["spec"].get("volumes", ()):
        if volume["name"] == "replication":
            copy = objects.live[ObjectKey("Secret", volume["secret"]["secretName"])]
            return digest(copy["data"])
    return ""
