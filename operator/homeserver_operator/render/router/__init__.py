"""The files of the router: HAProxy's configuration, its maps, and what its agent must know.

The route table as HAProxy reads it. The files name no pod: the agent beside HAProxy fills the slots
of each backend with addresses. They hold no secrets, tokens of application services least of all.
"""

from homeserver_operator.api.canonical import canonical
from homeserver_operator.api.router import Router
from homeserver_operator.render.router import too_large
from homeserver_operator.render.router.backends import agent_backends, make_backends
from homeserver_operator.render.router.haproxy_cfg import WHOAMI_SOCKET, render_config
from homeserver_operator.render.router.maps import PODS, make_stages, render_maps
from homeserver_operator.render.router.whoami import FILE, PATH, with_whoami
from homeserver_operator.render.router.whoami_lua import render_lua
from homeserver_operator.routes import Target
from homeserver_operator.topology import Topology
from homeserver_operator.validate import ValidHomeServer

AGENT: str = "agent.json"
CONFIG: str = "haproxy.cfg"


def render_router(
    server: ValidHomeServer, topology: Topology, everyone: tuple[Target, ...]
) -> dict[str, str]:
    """All files of the router by name; `everyone` are the targets of the live topology."""
    router = server.spec.router or Router()
    backends = make_backends(server.spec, topology, everyone)
    if router.whoami:
        backends = with_whoami(backends)
    stages = make_stages(everyone)
    return {
        CONFIG: render_config(server.spec, router, backends, stages),
        AGENT: canonical({"backends": agent_backends(backends)}),
        **render_maps(stages),
        **_lua(router),
        PODS: "# Addresses of pods and their names: the agent keeps them.\n",
    }


def _lua(router: Router) -> dict[str, str]:
    found = {too_large.FILE: too_large.render_too_large()}
    if router.whoami:
        found[FILE] = render_lua(WHOAMI_SOCKET, PATH, router.whoami.cache_seconds)
    return found
