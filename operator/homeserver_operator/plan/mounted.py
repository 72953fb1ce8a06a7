"""Which ConfigMaps and Secrets live pods still use, or would use if they restarted."""

from collections.abc import Iterable, Iterator

from homeserver_operator.api.world import Object, ObjectKey, World


def mounted_content(world: World) -> frozenset[ObjectKey]:
    """Content named by live Deployments, by ReplicaSets that still have pods, and by pods."""
    return frozenset(key for pod_spec in _pod_specs(world) for key in content_of(pod_spec))


def content_of(pod_spec: Object) -> Iterator[ObjectKey]:
    """What one pod names."""
    yield from _volumes(pod_spec)
    yield from _environment(pod_spec)


def _pod_specs(world: World) -> Iterator[Object]:
    for deployment in world.of_kind("Deployment").values():
        yield deployment["spec"]["template"]["spec"]
    for replica_set in world.replica_sets:
        if replica_set.get("status", {}).get("replicas", 0):
            yield replica_set["spec"]["template"]["spec"]
    for pod in world.of_kind("Pod").values():
        yield pod["spec"]


def _volumes(pod_spec: Object) -> Iterable[ObjectKey]:
    for volume in pod_spec.get("volumes", ()):
        if "configMap" in volume:
            yield ObjectKey("ConfigMap", volume["configMap"].get("name", ""))
        if "secret" in volume:
            yield ObjectKey("Secret", volume["secret"].get("secretName", ""))


def _environment(pod_spec: Object) -> Iterator[ObjectKey]:
    for container in pod_spec["containers"]:
        for variable in container.get("env", ()):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                yield ObjectKey("Secret", reference.get("name", ""))
