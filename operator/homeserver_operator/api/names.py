"""Names, labels, annotations, ports and paths: each is written here and nowhere else.

Their lengths are bounded by the CRD (HomeServer 30, group 20 characters, index two digits), so that
no derived name exceeds the 63 characters of a label value.
"""

from typing import Final

GROUP: Final = "homeserver-operator.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "HomeServer"
PLURAL: Final = "homeservers"

FIELD_MANAGER: Final = "homeserver-operator"

SCALE_MANAGER: Final = "homeserver-operator-scale"
"""Second field manager: holds a number of replicas that was ours, until somebody scales."""

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "homeserver-operator"
HOMESERVER_LABEL: Final = f"{GROUP}/homeserver"
PROCESS_LABEL: Final = f"{GROUP}/process"
WORKER_GROUP_LABEL: Final = f"{GROUP}/group"
ROLE_LABEL: Final = f"{GROUP}/role"
REVISION_LABEL: Final = f"{GROUP}/revision"
SHARES_LABEL_PREFIX: Final = f"shares.{GROUP}/"

APPLIED_ANNOTATION: Final = f"{GROUP}/applied"
"""Hash of the object as we last wanted it; tells a change of mind from drift."""

FENCES_ANNOTATION: Final = f"{GROUP}/fences"
"""On pod templates: the epoch of each fence that the process must hold, and what it stands for."""

RENDERING_ANNOTATION: Final = f"{GROUP}/rendering"
"""On Deployments, not on their templates: by which rendering of ours the template was made."""

EPOCH_LABEL: Final = f"{GROUP}/topology-epoch"
"""On pods: the epoch of the fence that all hold; Services select by it."""

TEMPLATE_HASH_LABEL: Final = "pod-template-hash"
"""On ReplicaSets and their pods, by the Deployment controller."""

APPROVED_PLAN_ANNOTATION: Final = f"{GROUP}/approved-plan"
"""On the HomeServer: the id of the plan whose restarts somebody has approved."""

CRD_REVISION_ANNOTATION: Final = f"{GROUP}/crd-revision"
"""On the CRD: a number that rises with every change of its schema."""

STOPPED_FROM_ANNOTATION: Final = f"{GROUP}/stopped-from"
"""On a Deployment that we have stopped: how many pods it had, for when it starts again."""

SERVED_ANNOTATION: Final = f"{GROUP}/served"
"""On a Deployment: the revision whose pods served last, or `NONE_SERVED`."""

NONE_SERVED: Final = "none"
"""It was to have no pods, and none has served since."""

ROUTER_CONFIG_ANNOTATION: Final = f"{GROUP}/router-config"
"""On the router's Service: the ConfigMap that its pods are to run by."""

MAIN_REVISION_ANNOTATION: Final = f"{GROUP}/main-revision"
"""On the router's Service: the revision that main's Service leads to, and has as a label."""

HTTP_PORT: Final = 8008
REPLICATION_PORT: Final = 9093
METRICS_PORT: Final = 9000
PROBE_PORT: Final = 8080
POSTGRES_PORT: Final = 5432
REDIS_PORT: Final = 6379
ROUTER_PORT: Final = 8080
ROUTER_METRICS_PORT: Final = 8405
ROUTER_AGENT_PORT: Final = 8406

MAIN: Final = "main"
"""Name of the main process in the instance map, in our names and for people."""

ROUTER: Final = "router"
"""Process, role and component of the router."""

MASTER: Final = "master"
"""Synapse's own name of the main process wherever instances are listed."""

CRD_REVISION: Final = 7
"""Revision of the CRD's schema that this operator was built for; an older CRD is refused."""
