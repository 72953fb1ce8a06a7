"""A module of Synapse: /.well-known/matrix/server that names another host than the server name's.

Synapse's own resource can only answer with the server name. Everything else below /.well-known
stays Synapse's. Loaded by the launcher, in the main process alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synapse.http.server import DirectServeJsonResource
from synapse.rest.well_known import well_known_resource

if TYPE_CHECKING:
    from synapse.http.site import SynapseRequest
    from synapse.module_api import ModuleApi


class _ServerResource(DirectServeJsonResource):  # type: ignore[misc]
    """Answers with CORS headers, as the client's part of .well-known does."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, server: str, api: ModuleApi) -> None:
        super().__init__(clock=api._hs.get_clock())
        self._server = server

    async def _async_render_GET(  # noqa: N802 - Synapse's name
        self, _request: SynapseRequest
    ) -> tuple[int, dict[str, str]]:
        return 200, {"m.server": self._server}


class WellKnownModule:
    """`server` of the configuration is what is answered: a host and a port."""

    def __init__(self, config: dict[str, Any], api: ModuleApi) -> None:
        # A resource below Synapse's own cannot be registered, so the whole tree is, with one
        # branch exchanged.
        tree = well_known_resource(api._hs)
        tree.children[b"matrix"].putChild(b"server", _ServerResource(config["server"], api))
        api.register_web_resource("/.well-known", tree)
