"""The preflight: one pod that lets Synapse's own parser judge new configurations.

Until it has succeeded, the pods of the old revision keep serving; so a configuration that Synapse
refuses, an image that cannot be pulled or a Secret that cannot be mounted takes nothing down.
"""

from typing import Any

from homeserver_operator.api.groups import Scheduling
from homeserver_operator.api.names import PROCESS_LABEL, ROLE_LABEL
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.build.meta import digest, object_labels, object_meta
from homeserver_operator.build.pods import (
    RUNTIME_USER,
    Mounts,
    container,
    pod_spec,
    synapse_volumes,
)
from homeserver_operator.render import paths

PREFLIGHT = "preflight"


def build_preflight(
    server: HomeServer, processes: tuple[str, ...], *, image: str, pull_policy: str, mounts: Mounts
) -> dict[str, Any]:
    """A pod, named by all that it checks, for the configurations of these processes."""
    directories = {f"{paths.CONFIG}/{name}": mounts.config[name] for name in sorted(processes)}
    volumes, volume_mounts = synapse_volumes(directories, mounts.copies, None)
    check = container(
        "synapse",
        image=image,
        pull_policy=pull_policy,
        # The main process's own: its request was enough to schedule it.
        resources=server.main.scheduling.resources,
        mounts=volume_mounts,
        args=["check", *directories],
    )
    spec = pod_spec(
        server,
        user=RUNTIME_USER,
        containers=[check],
        volumes=volumes,
        scheduling=Scheduling(
            node_selector=server.main.scheduling.node_selector,
            tolerations=server.main.scheduling.tolerations,
            affinity=server.main.scheduling.affinity,
        ),
        grace=5,
    ) | {"restartPolicy": "Never"}
    labels = {PROCESS_LABEL: PREFLIGHT, ROLE_LABEL: PREFLIGHT}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": object_meta(
            server,
            f"{server.key.name}-{PREFLIGHT}-{digest(spec)}",
            component=PREFLIGHT,
            labels=object_labels(server, PREFLIGHT) | labels,
        ),
        "spec": spec,
    }
