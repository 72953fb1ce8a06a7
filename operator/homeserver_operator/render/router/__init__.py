"""Stands in for the compiler of the route table."""

import json

from homeserver_operator.routes import MAIN_TARGET, Target
from homeserver_operator.topology import Topology
from homeserver_operator.validate import ValidHomeServer


def render_router(
    server: ValidHomeServer, topology: Topology, targets: tuple[Target, ...]
) -> dict[str, str]:
    """Render every file."""
    backends = {
        target.route_class.name: {
            "service": f"{server.spec.key.name}-{target.route_class.name}",
            "slots": 1 if target.single else 16,
            "main": target.is_main,
        }
        for target in (MAIN_TARGET, *(t for t in targets if t.has_own_service))
    }
    return {"agent.json": json.dumps({"backends": backends}), "haproxy.cfg": "frontend clients\n"}
