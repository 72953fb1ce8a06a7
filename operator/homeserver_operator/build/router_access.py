"""What the router's agent may ask the API server, and whose token it shows there.

HAProxy, which faces the world, has no token. The operator can grant only what it may do itself, so
what is added here is added to its own rights (the chart's rules), too.
"""

from typing import Any, Final

from homeserver_operator.api.names import PROCESS_LABEL, ROLE_LABEL, ROUTER
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Object
from homeserver_operator.build.meta import object_meta

_RBAC: Final = "rbac.authorization.k8s.io"


def router_name(server: HomeServer) -> str:
    """Of the Deployment, the Service that traffic comes in by, and all else there is one of."""
    return f"{server.key.name}-{ROUTER}"


def slots_name(server: HomeServer) -> str:
    """The ConfigMap in which the agents agree on which pod has which share."""
    return f"{router_name(server)}-slots"


def build_access(server: HomeServer, config: str) -> tuple[Object, ...]:
    """The ServiceAccount, its Role, and the binding of the two."""
    name = router_name(server)
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _meta(server),
        "automountServiceAccountToken": False,
    }
    binding = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": _meta(server),
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": server.key.namespace}],
    }
    return account, build_role(server, config), binding


def build_role(server: HomeServer, *configs: str) -> dict[str, Any]:
    """To read its own Service, what that names, and where the pods are; to write the slots."""
    name, slots = router_name(server), slots_name(server)
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role",
        "metadata": _meta(server),
        "rules": [
            _rule("", "services", ["get", "list", "watch"], name),
            _rule("", "configmaps", ["get"], *configs, slots),
            _rule("", "configmaps", ["patch"], slots),
            # Which ones it needs is told by a label, by which nothing can be granted.
            _rule("discovery.k8s.io", "endpointslices", ["get", "list", "watch"]),
        ],
    }


def _rule(group: str, resource: str, verbs: list[str], *names: str) -> dict[str, Any]:
    rule = {"apiGroups": [group], "resources": [resource], "verbs": verbs}
    return {**rule, "resourceNames": [*names]} if names else rule


def _meta(server: HomeServer) -> dict[str, Any]:
    labels = {PROCESS_LABEL: ROUTER, ROLE_LABEL: ROUTER}
    return object_meta(server, router_name(server), component=ROUTER, labels=labels)
