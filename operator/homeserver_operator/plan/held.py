"""What is wanted of a homeserver whose pods stay as another operator rendered them.

Everything as this operator makes it, around the pod templates that live. Whether pods stay is
decided in `plan.release`.
"""

from collections.abc import Mapping
from dataclasses import replace

from homeserver_operator.api.names import EPOCH_LABEL, RENDERING_ANNOTATION
from homeserver_operator.api.observed import key_of
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object, World
from homeserver_operator.build import Manifests, build_network
from homeserver_operator.build.images import MEMORY, Images
from homeserver_operator.fences import TOPOLOGY, Fences, Mark, marks_of
from homeserver_operator.plan.mounted import content_of
from homeserver_operator.plan.owned import owned_template
from homeserver_operator.plan.rollouts import live_deployments
from homeserver_operator.topology import Topology


def hold(
    server: HomeServer, topology: Topology, newest: Manifests, images: Images, world: World
) -> Manifests:
    """What this operator makes of the spec, around the pod templates that live.

    `images` are those that run.
    """
    live = live_deployments(server, world)
    synapse = {name: _held(wanted, live[name]) for name, wanted in newest.synapse.items()}
    stores = tuple(_held_if_there(wanted, world) for wanted in newest.stores)
    router = newest.router and replace(
        newest.router, deployment=_held_if_there(newest.router.deployment, world)
    )
    fences = _fences(synapse)
    epoch = fences.marks[TOPOLOGY].epoch
    services = build_network(server, topology, newest.targets, epoch, synapse)
    network = (
        service
        if service["metadata"]["name"] in services.follows
        else _leading(service, newest, synapse, world)
        for service in services.objects
    )
    mounted = {
        key
        for deployment in (*synapse.values(), *stores)
        for key in content_of(deployment["spec"]["template"]["spec"])
    }
    # Read through the API, and mounted nowhere.
    routers = {key_of(each) for each in (router.content if router else ())}
    return replace(
        newest,
        content=tuple(each for each in newest.content if key_of(each) in mounted | routers),
        stores=stores,
        router=router,
        network=(*network, *((router.service,) if router else ())),
        synapse=synapse,
        fences=fences,
        images=images,
        follows=services.follows,
    )


def _held_if_there(wanted: Object, world: World) -> Object:
    live = world.children.get(key_of(wanted))
    return _held(wanted, live) if live else wanted


def _held(wanted: Object, live: Object) -> Object:
    """The wanted Deployment with the template that lives, and with what is remembered of that."""
    memory = MEMORY | {RENDERING_ANNOTATION}
    theirs = live["metadata"].get("annotations", {})
    annotations = {
        **{name: text for name, text in wanted["metadata"]["annotations"].items()
           if name not in memory},
        **{name: theirs[name] for name in sorted(memory) if name in theirs},
    }  # fmt: skip
    return {
        **wanted,
        "metadata": {**wanted["metadata"], "annotations": annotations},
        "spec": {**wanted["spec"], "template": owned_template(live)},
    }


def _leading(
    service: Object, newest: Manifests, synapse: Mapping[str, Object], world: World
) -> Object:
    """A Service that leads to the processes that it is meant for, whatever labels they have now.

    Where the pods that live do not have the labels that this operator gives, the Service stays.
    """
    selector = service["spec"]["selector"] | {EPOCH_LABEL: ""}
    live = world.children.get(key_of(service))
    if live is None or _selected(selector, synapse) == _selected(selector, newest.synapse):
        return service
    return {**service, "spec": {**service["spec"], "selector": live["spec"]["selector"]}}


def _selected(selector: Mapping[str, str], synapse: Mapping[str, Object]) -> set[str]:
    """Processes with the labels, of whichever epoch."""
    return {
        process
        for process, deployment in synapse.items()
        if selector.items()
        <= (deployment["spec"]["template"]["metadata"]["labels"] | {EPOCH_LABEL: ""}).items()
    }


def _fences(synapse: Mapping[str, Object]) -> Fences:
    """The fences as the templates hold them, which agree."""
    marks: dict[str, Mark] = {}
    holders: dict[str, set[str]] = {}
    for process, deployment in synapse.items():
        for fence, mark in marks_of(deployment["spec"]["template"]).items():
            marks[fence] = mark
            holders.setdefault(fence, set()).add(process)
    return Fences(marks, {fence: frozenset(found) for fence, found in holders.items()})
