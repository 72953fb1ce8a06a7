"""Which images a homeserver runs, and the memory of the defaults that it was made with.

The operator's defaults move with the operator; a homeserver that names none keeps those of its
first reconcile, so that upgrading the operator restarts nothing. The memory is in annotations on
the Deployments.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver_operator.api.names import GROUP, ROLE_LABEL, ROUTER
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.stores import ExternalPostgres, ExternalRedis
from homeserver_operator.api.world import Defaults, World

_IMAGE = f"{GROUP}/default-image"
_PULL_POLICY = f"{GROUP}/default-image-pull-policy"
_SYNAPSE = ("main", "worker")


@dataclass(frozen=True)
class Images:
    """Image references in use, when to pull them, and the defaults behind both."""

    synapse: str
    postgres: str
    redis: str
    router: str
    pull_policy: str
    defaults: Mapping[str, str]
    default_pull_policy: str

    def store(self, store: str) -> str:
        """The image of a managed store."""
        return {"postgres": self.postgres, "redis": self.redis}[store]


def settle_images(server: HomeServer, world: World, defaults: Defaults) -> Images:
    """The spec's images, else those that the homeserver was made with, else the defaults."""
    known = {
        "synapse": _remembered(world, _IMAGE, *_SYNAPSE) or defaults.image,
        "postgres": _remembered(world, _IMAGE, "postgres") or defaults.postgres_image,
        "redis": _remembered(world, _IMAGE, "redis") or defaults.redis_image,
        ROUTER: _remembered(world, _IMAGE, ROUTER) or defaults.router_image,
    }
    known_policy = _remembered(world, _PULL_POLICY, *_SYNAPSE) or defaults.image_pull_policy
    postgres, redis = server.postgres.server, server.redis
    own_postgres = None if isinstance(postgres, ExternalPostgres) else postgres.image
    own_redis = None if isinstance(redis, ExternalRedis) else redis.image
    own_router = server.router.image if server.router else None
    return Images(
        synapse=server.image or known["synapse"],
        postgres=own_postgres or known["postgres"],
        redis=own_redis or known["redis"],
        router=own_router or known[ROUTER],
        pull_policy=server.image_pull_policy or known_policy,
        defaults=known,
        default_pull_policy=known_policy,
    )


def with_defaults(deployment: dict[str, Any], images: Images) -> dict[str, Any]:
    """The Deployment with the memory of its defaults."""
    role = deployment["metadata"]["labels"][ROLE_LABEL]
    default = images.defaults["synapse" if role in _SYNAPSE else role]
    memory = {_IMAGE: default, _PULL_POLICY: images.default_pull_policy}
    annotations = {**deployment["metadata"].get("annotations", {}), **memory}
    return deployment | {"metadata": {**deployment["metadata"], "annotations": annotations}}


def _remembered(world: World, annotation: str, *roles: str) -> str | None:
    found = {
        value
        for deployment in world.of_kind("Deployment").values()
        if deployment["metadata"].get("labels", {}).get(ROLE_LABEL) in roles
        if (value := deployment["metadata"].get("annotations", {}).get(annotation))
    }
    return min(found, default=None)
