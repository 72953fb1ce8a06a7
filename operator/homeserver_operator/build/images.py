"""Which images a homeserver runs, and the memory of the defaults that it was made with.

The operator's default image moves with the operator; a homeserver that names none keeps the default
of its first reconcile, so that upgrading the operator restarts nothing. The memory is an annotation
on the Deployments.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver_operator.api.names import GROUP, ROLE_LABEL
from homeserver_operator.api.spec import ExternalPostgres, ExternalRedis, HomeServer
from homeserver_operator.api.world import Defaults, World

_ANNOTATION = f"{GROUP}/default-image"
_SYNAPSE = ("main", "worker")


@dataclass(frozen=True)
class Images:
    """Image references in use, the defaults behind them, and when to pull."""

    synapse: str
    postgres: str
    redis: str
    pull_policy: str
    defaults: Mapping[str, str]

    def store(self, store: str) -> str:
        """The image of a managed store."""
        return {"postgres": self.postgres, "redis": self.redis}[store]


def settle_images(server: HomeServer, world: World, defaults: Defaults) -> Images:
    """The spec's images, else those that the homeserver was made with, else the defaults."""
    known = {
        "synapse": _remembered(world, *_SYNAPSE) or defaults.image,
        "postgres": _remembered(world, "postgres") or defaults.postgres_image,
        "redis": _remembered(world, "redis") or defaults.redis_image,
    }
    postgres, redis = server.postgres.server, server.redis
    own_postgres = None if isinstance(postgres, ExternalPostgres) else postgres.image
    own_redis = None if isinstance(redis, ExternalRedis) else redis.image
    return Images(
        synapse=server.image or known["synapse"],
        postgres=own_postgres or known["postgres"],
        redis=own_redis or known["redis"],
        pull_policy=server.image_pull_policy or defaults.image_pull_policy,
        defaults=known,
    )


def with_defaults(deployment: dict[str, Any], images: Images) -> dict[str, Any]:
    """The Deployment with the memory of its default image."""
    role = deployment["metadata"]["labels"][ROLE_LABEL]
    default = images.defaults["synapse" if role in _SYNAPSE else role]
    annotations = {**deployment["metadata"].get("annotations", {}), _ANNOTATION: default}
    return deployment | {"metadata": {**deployment["metadata"], "annotations": annotations}}


def _remembered(world: World, *roles: str) -> str | None:
    found = {
        image
        for deployment in world.of_kind("Deployment").values()
        if deployment["metadata"].get("labels", {}).get(ROLE_LABEL) in roles
        if (image := deployment["metadata"].get("annotations", {}).get(_ANNOTATION))
    }
    return min(found, default=None)
