"""What the router's pods run by now, while they are told to run by something else.

Its Service names the configuration, and pods follow within a moment. So the name changes when all
to whom the next configuration leads may be asked: in a switch with the other Services, before the
old processes go; else when somebody is there. Nobody waits for the pods to follow: what they send
to who has gone meanwhile is held in them, and goes where the next configuration leads it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping

from homeserver_operator.api.names import (
    MAIN,
    MAIN_REVISION_ANNOTATION,
    REVISION_LABEL,
    ROLE_LABEL,
    ROUTER,
    ROUTER_CONFIG_ANNOTATION,
)
from homeserver_operator.api.observed import controller_of, is_selected, key_of
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.build import Manifests
from homeserver_operator.build.router_access import build_role, router_name
from homeserver_operator.plan.rollout import is_warm
from homeserver_operator.render.paths import client_service_name
from homeserver_operator.render.router import AGENT

_COMPONENT = "app.kubernetes.io/component"


def access_now(server: HomeServer, manifests: Manifests, world: World) -> Iterator[Object]:
    """Accounts and rights; a pod may read what it is told to run by now, not only what it will be.

    Until its Service names the next configuration a new pod starts with the one before.
    """
    before = live_config(server, world)
    for manifest in manifests.access:
        if manifest["kind"] == "Role" and manifests.router and before:
            names = sorted({manifests.router.config, before})
            yield build_role(server, *names)
        else:
            yield manifest


def told_now(server: HomeServer, service: Object, manifests: Manifests, world: World) -> Object:
    """The router's Service, outside of a switch: a class that is new waits for who answers it."""
    before = live_config(server, world)
    if before is None or not any(_expected(before, manifests, world)):
        return service
    return _annotated(service, ROUTER_CONFIG_ANNOTATION, before)


def told_of_main(server: HomeServer, routes: Iterable[Object], world: World) -> Iterator[Object]:
    """What leads to pods, the router's Service with the revision that main's leads to from now on.

    A pod of the router may hear of a configuration before it hears where main is that it is meant
    for, or after. The wrong main could only refuse what it is asked, such as a stream's writes.
    """
    main_key = ObjectKey("Service", client_service_name(server, MAIN))
    main = world.children.get(main_key)
    for manifest in routes:
        if key_of(manifest) == main_key:
            main = manifest
        if main and key_of(manifest) == ObjectKey("Service", router_name(server)):
            revision = main["metadata"].get("labels", {}).get(REVISION_LABEL)
            yield _annotated(manifest, MAIN_REVISION_ANNOTATION, revision) if revision else manifest
        else:
            yield manifest


def _annotated(service: Object, name: str, value: str) -> Object:
    metadata = service["metadata"]
    annotations = {**metadata["annotations"], name: value}
    return {**service, "metadata": {**metadata, "annotations": annotations}}


def _expected(before: str, manifests: Manifests, world: World) -> Iterator[str]:
    """Services that only the next configuration leads to, and nobody answers although some will."""
    if manifests.router is None or manifests.router.config == before:
        return
    (wanted,) = (
        item for item in manifests.content if item["metadata"]["name"] == manifests.router.config
    )
    new = _services(wanted) - _services(world.children[ObjectKey("ConfigMap", before)])
    for service in manifests.network:
        name, selector = service["metadata"]["name"], service["spec"]["selector"]
        if name in new and not _answers(selector, world) and pods_to_be(selector, manifests, world):
            yield name


def _services(config_map: Object) -> set[str]:
    backends = json.loads(config_map["data"][AGENT])["backends"].values()
    return {backend["service"] for backend in backends}


def _answers(selector: Mapping[str, str], world: World) -> bool:
    """Whether a pod listens; the router does not ask for more."""
    pods = world.of_kind("Pod").values()
    return any(is_selected(pod, selector) for pod in pods if is_warm(pod))


def pods_to_be(selector: Mapping[str, str], manifests: Manifests, world: World) -> int:
    """How many there are to be: of none, nobody waits for the first."""
    total = 0
    for manifest in manifests.synapse.values():
        if is_selected(manifest["spec"]["template"], selector):
            live = world.children.get(
                ObjectKey("Deployment", manifest["metadata"]["name"]), manifest
            )
            total += manifest["spec"].get("replicas", live["spec"].get("replicas", 1))
    return total


def live_config(server: HomeServer, world: World) -> str | None:
    """The ConfigMap that the router's Service names, if it is one that we made for this."""
    service = world.children.get(ObjectKey("Service", router_name(server)))
    annotations: Mapping[str, str] = service["metadata"].get("annotations", {}) if service else {}
    name = annotations.get(ROUTER_CONFIG_ANNOTATION, "")
    found = world.children.get(ObjectKey("ConfigMap", name))
    ours = found is not None and is_routers(found) and controller_of(found) == server.uid
    return name if ours else None


def is_routers(child: Object) -> bool:
    """Whether an object belongs to the router."""
    labels: Mapping[str, str] = child["metadata"].get("labels", {})
    return labels.get(ROLE_LABEL) == ROUTER or labels.get(_COMPONENT) == ROUTER
