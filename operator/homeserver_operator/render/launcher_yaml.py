"""launcher.yaml: what the runtime's launcher itself reads (see runtime/README.md)."""

from collections.abc import Mapping

from homeserver_operator.api.names import MAIN, PROBE_PORT
from homeserver_operator.fences import Mark
from homeserver_operator.render import paths
from homeserver_operator.routes.exposure import delegated_to, synapses_answer
from homeserver_operator.topology import Process
from homeserver_operator.validate import ValidHomeServer
from homeserver_operator.validate.sources import POSTGRES

FORMAT = 1

LATE_SECONDS = 5
"""Who leads traffic to pods learns late that others serve: kube-proxy within 1 s, by default, of
when the EndpointSlice is written; Ingress controllers within 2 s (Traefik looks that often). On a
busy node either takes longer."""


def render_launcher(
    server: ValidHomeServer, process: Process, fences: Mapping[str, Mark]
) -> dict[str, object]:
    """The launcher's own settings; `name` None tells it to take the pod's name.

    `fences` are those that the process must hold.
    """
    database = server.material[POSTGRES]
    settings: dict[str, object] = {
        "version": FORMAT,
        "name": MAIN if process.is_main else process.instance,
        "role": "main" if process.is_main else "worker",
        "probe_port": PROBE_PORT,
        "late_seconds": LATE_SECONDS,
        "fences": {name: mark.epoch for name, mark in fences.items()},
        "fence_contents": {name: mark.content for name, mark in fences.items()},
        "database": {
            "username_file": (
                paths.secret(POSTGRES, "username") if "username" in database else None
            ),
            "password_file": paths.secret(POSTGRES, "password"),
        },
        "config_from": [
            paths.secret(f"config-{index}", "homeserver.yaml")
            for index in range(len(server.spec.config_from))
        ],
    }
    server_answer = delegated_to(server.spec)
    if process.is_main and server_answer not in {None, synapses_answer(server.spec)}:
        settings["well_known_server"] = server_answer
    return settings
