"""From a valid homeserver and its topology to every Kubernetes object that it wants.

Pure: what is live plays no part, but for images that were settled when the homeserver was new.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from homeserver_operator.api.names import ROLE_LABEL
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object
from homeserver_operator.build import stores
from homeserver_operator.build.autoscalers import build_autoscalers
from homeserver_operator.build.content import build_config_map, build_copies
from homeserver_operator.build.deployments import build_deployment
from homeserver_operator.build.disruption import build_budgets, default_spread
from homeserver_operator.build.edge import build_edge, edge_reductions
from homeserver_operator.build.images import Images, with_defaults
from homeserver_operator.build.meta import object_meta
from homeserver_operator.build.network_policies import build_network_policies
from homeserver_operator.build.rendering import with_rendering
from homeserver_operator.build.router import RouterObjects, build_router
from homeserver_operator.build.services import (
    Services,
    build_services,
    build_store_service,
    replication_service_name,
)
from homeserver_operator.build.synapse_pods import Mounts, process_template
from homeserver_operator.build.volumes import build_volumes, database_claim, media_claim
from homeserver_operator.fences import TOPOLOGY, Fences
from homeserver_operator.render import render
from homeserver_operator.render.paths import Addresses
from homeserver_operator.render.router import render_router
from homeserver_operator.routes import Target, shared_claims, targets
from homeserver_operator.routes.reduction import Reduction
from homeserver_operator.topology import Topology
from homeserver_operator.validate import ValidHomeServer


@dataclass(frozen=True)
class Manifests:
    """Every object that a homeserver wants, in the order in which they are applied.

    `access` is what pods are to the API server, `content` what they mount, `network` Services,
    `policies` what limits connections and evictions, `synapse` the Deployments by process name,
    `edge` what leads traffic in, `reduced` what that cannot do, `targets` where it leads. `follows`
    names the process of each Service that leads to one revision of one process.
    """

    access: tuple[Object, ...]
    content: tuple[Object, ...]
    volumes: tuple[Object, ...]
    stores: tuple[Object, ...]
    router: RouterObjects | None
    network: tuple[Object, ...]
    policies: tuple[Object, ...]
    synapse: Mapping[str, Object]
    autoscalers: tuple[Object, ...]
    edge: tuple[Object, ...]
    targets: tuple[Target, ...]
    reduced: tuple[Reduction, ...]
    fences: Fences
    images: Images
    follows: Mapping[str, str]

    def all(self) -> tuple[Object, ...]:
        """Content before what mounts it, stores before Synapse, routes last."""
        return (*self.access, *self.content, *self.volumes, *self.serving())

    @property
    def routing(self) -> tuple[Object, ...]:
        """The router's Deployment, if there is to be one."""
        return (self.router.deployment,) if self.router else ()

    @property
    def beside(self) -> dict[str, Object]:
        """The Deployments that run beside Synapse, by role: stores, and the router."""
        found = (*self.stores, *self.routing)
        return {each["metadata"]["labels"][ROLE_LABEL]: each for each in found}

    def serving(self) -> tuple[Object, ...]:
        """What serves and leads to it."""
        return (
            *self.network,
            *self.policies,
            *self.stores,
            *self.routing,
            *self.synapse.values(),
            *self.autoscalers,
            *self.edge,
        )


def build(server: ValidHomeServer, topology: Topology, images: Images, fences: Fences) -> Manifests:
    """Build everything."""
    spec = server.spec
    epoch = fences.marks[TOPOLOGY].epoch
    copies = build_copies(server)
    addresses = Addresses(
        replication={
            p.name: replication_service_name(spec, p.name, epoch) for p in topology.replicating
        },
        postgres=stores.store_name(spec, stores.POSTGRES),
        redis=stores.store_name(spec, stores.REDIS),
    )
    files = render(server, topology, addresses, fences)
    config_maps = {
        process.name: build_config_map(
            spec,
            process.name,
            files[process.name],
            component="main" if process.is_main else "worker",
        )
        for process in topology.processes
    }
    mounts = Mounts(
        config={name: object_["metadata"]["name"] for name, object_ in config_maps.items()},
        copies=copies,
        media_claim=media_claim(spec),
    )
    managed = stores.managed(spec)
    store_maps = {
        store: build_config_map(spec, store, stores.store_files(store), component=store)
        for store in managed
    }
    everyone = targets(server, topology)
    synapse = _synapse(spec, topology, images, mounts=mounts, everyone=everyone, fences=fences)
    services = build_network(spec, topology, everyone, epoch, synapse)
    router = _router(server, topology, everyone, images)
    return Manifests(
        access=(_service_account(spec), *(router.access if router else ())),
        content=(
            *copies.values(),
            *config_maps.values(),
            *store_maps.values(),
            *(router.content if router else ()),
        ),
        volumes=tuple(build_volumes(spec)),
        stores=tuple(
            _recorded(
                stores.build_store(
                    spec,
                    store,
                    image=images.store(store),
                    pull_policy=images.pull_policy,
                    config_map=store_maps[store]["metadata"]["name"],
                    password=copies[store]["metadata"]["name"],
                    claim=database_claim(spec) if store == stores.POSTGRES else None,
                    resources=resources,
                ),
                images,
            )
            for store, resources in managed.items()
        ),
        router=router,
        network=(*services.objects, *((router.service,) if router else ())),
        policies=(
            *build_network_policies(spec, topology),
            *build_budgets(spec, topology),
            *(router.budgets if router else ()),
        ),
        synapse=synapse,
        autoscalers=tuple(build_autoscalers(spec, topology)),
        edge=tuple(build_edge(spec, everyone)),
        targets=everyone,
        reduced=edge_reductions(spec, everyone),
        fences=fences,
        images=images,
        follows=services.follows,
    )


def build_network(
    server: HomeServer,
    topology: Topology,
    everyone: tuple[Target, ...],
    epoch: int,
    synapse: Mapping[str, Object],
) -> Services:
    """All Services, which lead to the revisions of the Deployments that are given."""
    services = build_services(server, topology, everyone, epoch, synapse)
    of_stores = (
        build_store_service(server, store, stores.PORTS[store]) for store in stores.managed(server)
    )
    return replace(services, objects=(*of_stores, *services.objects))


def _recorded(deployment: dict[str, Any], images: Images) -> dict[str, Any]:
    """With what must be known of it once the operator is another one."""
    return with_rendering(with_defaults(deployment, images))


def _synapse(
    spec: HomeServer,
    topology: Topology,
    images: Images,
    *,
    mounts: Mounts,
    everyone: tuple[Target, ...],
    fences: Fences,
) -> dict[str, Object]:
    shared = shared_claims(everyone)
    return {
        process.name: _recorded(
            build_deployment(
                spec,
                process,
                process_template(
                    spec,
                    process,
                    image=images.synapse,
                    pull_policy=images.pull_policy,
                    mounts=mounts,
                    shares=[name for name, groups in shared.items() if process.group in groups],
                    spread=default_spread(spec, topology, process),
                    marks=fences.of(process.name),
                ),
            ),
            images,
        )
        for process in topology.processes
    }


def _router(
    server: ValidHomeServer, topology: Topology, everyone: tuple[Target, ...], images: Images
) -> RouterObjects | None:
    spec = server.spec
    if spec.router is None:
        return None
    built = build_router(
        spec,
        spec.router,
        render_router(server, topology, everyone),
        image=images.router,
        pull_policy=images.pull_policy,
    )
    return replace(built, deployment=_recorded(dict(built.deployment), images))


def _service_account(spec: HomeServer) -> Object:
    """Without any right, and its token mounted nowhere."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": object_meta(spec, spec.key.name, component="homeserver"),
        "automountServiceAccountToken": False,
    }
