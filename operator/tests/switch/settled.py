"""What a world at rest must look like: all there, all serving, led to, and nothing left over."""

import re
from collections.abc import Iterator

from tests.switch.deployments import template_of
from tests.switch.oracle import REPLICATION_NAME, processes
from tests.switch.replicasets import is_leaving, is_ready
from tests.switch.services import endpoints, listens
from tests.switch.simulation import Simulation

from homeserver_operator.api.names import HOMESERVER_LABEL, PROCESS_LABEL, ROLE_LABEL
from homeserver_operator.api.world import Object, ObjectKey
from homeserver_operator.plan.mounted import mounted_content


def shortcomings(sim: Simulation, wanted: dict[str, int | None]) -> Iterator[str]:
    """What is not as it should be. `wanted`: pods of each process; None is whatever it is."""
    objects = sim.objects
    found = {item["metadata"]["labels"][PROCESS_LABEL]: item for item in processes(objects)}
    if found.keys() != wanted.keys():
        yield f"Deployments of {sorted(found)}, not of {sorted(wanted)}"
    for process, deployment in found.items():
        number = wanted.get(process)
        if number is not None and deployment["spec"]["replicas"] != number:
            yield f"{process} asks for {deployment['spec']['replicas']} pods, not {number}"
        yield from _pods(sim, process, deployment)
    yield from _network(sim)
    yield from _left_over(sim)
    writes = len(sim.operator.writes)
    sim.operator.awake = True
    while sim.operator.busy:
        sim.operate()
    for write in sim.operator.writes[writes:]:
        yield f"not at rest: {write}"


def _pods(sim: Simulation, process: str, deployment: Object) -> Iterator[str]:
    template = deployment["spec"]["template"]
    pods = [
        pod
        for pod in sim.objects.of_kind("Pod")
        if pod["metadata"]["labels"].get(PROCESS_LABEL) == process
    ]
    if len(pods) != deployment["spec"]["replicas"]:
        yield f"{process} has {len(pods)} pods of {deployment['spec']['replicas']}"
    sets = {item["metadata"]["uid"]: item for item in sim.objects.of_kind("ReplicaSet")}
    for pod in pods:
        name, launcher = (
            pod["metadata"]["name"],
            sim.kubelet.machines[pod["metadata"]["name"]].launcher,
        )
        owner = sets.get(pod["metadata"]["ownerReferences"][0]["uid"])
        if is_leaving(pod) or owner is None or template_of(owner) != template:
            yield f"{name} is not of the last template"
        if not is_ready(pod) or launcher is None or launcher.phase != "serving":
            yield f"{name} does not serve: {launcher.phase if launcher else 'it has not started'}"


def _network(sim: Simulation) -> Iterator[str]:
    for service in sim.objects.of_kind("Service"):
        name = service["metadata"]["name"]
        leads = set(endpoints(service, sim.objects))
        if not leads:
            yield f"Service {name} leads nowhere"
        if any(not listens(sim.kubelet, pod) for pod in leads):
            yield f"Service {name} leads to somebody who does not listen"
    hosts = set()
    services = {item["metadata"]["name"]: item for item in sim.objects.of_kind("Service")}
    for name, machine in sim.kubelet.machines.items():
        if not machine.launcher:
            continue
        for called, where in machine.launcher.launch.homeserver.get("instance_map", {}).items():
            hosts.add(where["host"])
            leads = (
                set(endpoints(services[where["host"]], sim.objects))
                if (where["host"] in services)
                else set()
            )
            names = {
                launcher.launch.name
                for pod in leads
                if (launcher := sim.kubelet.machines[pod].launcher)
            }
            if names != {called}:
                yield f"{name} calls {called} at {where['host']}, which leads to {sorted(names)}"
    for name in services:
        if REPLICATION_NAME.fullmatch(name) and name not in hosts:
            yield f"Service {name} is left over"


def _left_over(sim: Simulation) -> Iterator[str]:
    objects = sim.objects
    mounted = mounted_content(objects.world)
    for key, item in objects.live.items():
        ours = HOMESERVER_LABEL in item["metadata"].get("labels", {})
        if key.kind == "ConfigMap" and ours and key not in mounted:
            yield f"ConfigMap {key.name} is left over"
        if key.kind == "ReplicaSet" and item["metadata"].get("labels", {}).get(ROLE_LABEL):
            deployment = re.sub(r"-[0-9a-f]{9}$", "", key.name)
            if ObjectKey("Deployment", deployment) not in objects.live:
                yield f"ReplicaSet {key.name} is left over"
    for session in sim.database.sessions.values():
        if session.cut:
            yield f"a session of {session.pod} is left over"
