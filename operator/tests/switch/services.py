"""What clients of Services see: endpoints as kube-proxy has programmed them, some time ago."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.switch.kubelet import Kubelet
from tests.switch.objects import Change, Objects
from tests.switch.replicasets import is_leaving, is_ready

from homeserver_operator.api.world import Object, ObjectKey


@dataclass
class Proxy:
    """Pod names by Service. A Service changes for its clients when its name leaves `behind`."""

    programmed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    behind: dict[str, None] = field(default_factory=dict)

    def notice(self, change: Change, objects: Objects) -> None:
        if change.key.kind == "Service":
            self.behind[change.key.name] = None
        elif change.key.kind == "Pod":
            for service in objects.of_kind("Service"):
                pod = change.after or change.before
                assert pod is not None
                if selects(service, pod):
                    self.behind[service["metadata"]["name"]] = None

    def program(self, name: str, objects: Objects) -> None:
        del self.behind[name]
        service = objects.live.get(ObjectKey("Service", name))
        if service is None:
            self.programmed.pop(name, None)
        else:
            self.programmed[name] = tuple(endpoints(service, objects))

    def heard(self, name: str, kubelet: Kubelet) -> bool:
        """Whether every pod that a client may be sent to has its sockets bound, and there is one.

        A bound socket counts although nobody may answer for a while: it holds what arrives.
        """
        pods = self.programmed.get(name, ())
        return bool(pods) and all(listens(kubelet, pod) for pod in pods)


def endpoints(service: Object, objects: Objects) -> Iterator[str]:
    """Pods that get a Service's connections."""
    publish = service["spec"].get("publishNotReadyAddresses", False)
    chosen = [pod for pod in objects.of_kind("Pod") if selects(service, pod) and _addressed(pod)]
    usual = [pod for pod in chosen if publish or (is_ready(pod) and not is_leaving(pod))]
    # If none is left, those that are going and still ready get what comes.
    last = [pod for pod in chosen if is_ready(pod)]
    for pod in usual or last:
        yield pod["metadata"]["name"]


def selects(service: Object, pod: Object) -> bool:
    selector = service["spec"].get("selector") or {}
    labels = pod["metadata"].get("labels", {})
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def listens(kubelet: Kubelet, pod: str) -> bool:
    machine = kubelet.machines.get(pod)
    if machine is None or machine.container != "running":
        return False
    return machine.launcher.bound if machine.launcher else machine.ready


def _addressed(pod: Object) -> bool:
    return bool(pod.get("status", {}).get("podIP"))
