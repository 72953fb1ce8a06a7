"""The kinds of objects that the operator makes, in the order in which they are applied.

This one tuple drives listing, watching, applying, pruning and the RBAC rules' test.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class ManagedKind:
    """One kind of child object.

    `watched` kinds wake the HomeServer that owns a changed object; of `restless` ones, which change
    by themselves all the time, only those that come or go. `written` ones are made by us, `pruned`
    ones are deleted when they are no longer wanted. Who owns the fields of `shared` ones matters,
    so it is read with them. An `entrance` leads traffic in. `comes_with` names who brings the CRD
    of a kind that a cluster may lack: where it does, there are no such objects.
    """

    kind: str
    api_version: str
    plural: str
    written: bool = True
    pruned: bool = True
    watched: bool = True
    comes_with: str | None = None
    restless: bool = False
    shared: bool = False
    entrance: bool = False

    @property
    def path(self) -> str:
        """The API's path prefix for this kind's group and version."""
        return (
            f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        )


MANAGED_KINDS: Final = (
    ManagedKind("ServiceAccount", "v1", "serviceaccounts"),
    # What the router may ask the API server; a role comes before whom it is given to.
    ManagedKind("Role", "rbac.authorization.k8s.io/v1", "roles"),
    ManagedKind("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings"),
    ManagedKind("Secret", "v1", "secrets"),
    ManagedKind("ConfigMap", "v1", "configmaps"),
    # Volumes hold people's data: never deleted by us, only by the owner reference that
    # `retention: Delete` asks for.
    ManagedKind("PersistentVolumeClaim", "v1", "persistentvolumeclaims", pruned=False),
    ManagedKind("Service", "v1", "services"),
    # Before the pods for whom they hold.
    ManagedKind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
    ManagedKind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets"),
    # They come and go with their ReplicaSets.
    ManagedKind("Pod", "v1", "pods", written=False, pruned=False),
    # Workloads after what they mount: a pod must never start without its configuration.
    ManagedKind("Deployment", "apps/v1", "deployments", shared=True),
    # After the Deployment whose number it changes, which is handed over before. What it measures is
    # in its status, several times a minute.
    ManagedKind(
        "HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers", restless=True
    ),
    ManagedKind("Ingress", "networking.k8s.io/v1", "ingresses", entrance=True),
    ManagedKind(
        "IngressRoute",
        "traefik.io/v1alpha1",
        "ingressroutes",
        entrance=True,
        comes_with="Traefik",
    ),
    ManagedKind(
        "HTTPRoute",
        "gateway.networking.k8s.io/v1",
        "httproutes",
        entrance=True,
        comes_with="the Gateway API",
    ),
)

REPLICA_SET: Final = ManagedKind(
    "ReplicaSet", "apps/v1", "replicasets", written=False, pruned=False, watched=False
)
"""Not ours, but read, and scaled: through them old pods are let go."""

BY_KIND: Final = {kind.kind: kind for kind in MANAGED_KINDS}
