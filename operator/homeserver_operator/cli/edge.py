"""How a homeserver's routes look from outside: what its way in can tell apart, and what not.

The one place of the plugin that knows how targets are made and what a dialect leaves out.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from homeserver_operator.api.names import MAIN
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import World
from homeserver_operator.cli.output import CliError
from homeserver_operator.render.paths import client_service_name
from homeserver_operator.routes import Target, targets
from homeserver_operator.routes.dialects import CAPABILITIES
from homeserver_operator.routes.exposure import open_prefixes
from homeserver_operator.routes.reduction import Capabilities, reduce_targets, reductions
from homeserver_operator.routes.table import Route
from homeserver_operator.topology import Topology, make_topology
from homeserver_operator.validate import INVALID_SPEC, Rejected, ValidHomeServer, validate


@dataclass(frozen=True)
class Edge:
    """A homeserver's targets as the table has them (`wanted`), and as the Ingress tells them."""

    server: HomeServer
    topology: Topology
    wanted: tuple[Target, ...]

    @property
    def told(self) -> tuple[Target, ...]:
        """Without the rows whose conditions the Ingress cannot tell: their wide rows have all.

        What goes to main needs no words in an Ingress, but is told here all the same. The router
        tells everything.
        """
        if self.server.router:
            return self.wanted
        return tuple(
            dataclasses.replace(told, routes=(*told.routes, *_wide(told, wanted)))
            for told, wanted in zip(
                reduce_targets(self.wanted, self._can), self.wanted, strict=True
            )
        )

    def lets_in(self, path: str) -> bool:
        """Whether a path leads anywhere at all."""
        return path.startswith(tuple(f"{prefix}/" for prefix in open_prefixes(self.server)))

    def hash_by(self, target: Target) -> str | None:
        """What requests are spread by: the table's word, or what the Ingress has in its place."""
        key = None if target.single else target.route_class.hash_by
        return key if key is None or self.server.router else self._can.hash_by.get(key)

    @property
    def host(self) -> str:
        """The host name by which clients come in."""
        return self.server.client_host

    def service(self, target: Target | None) -> str:
        """The client Service that the Ingress names for a target; None is main."""
        if target is not None and target.service:
            return target.service.name
        name = MAIN if target is None or target.is_main else target.route_class.name
        return client_service_name(self.server, name)

    def untold(self, target: Target) -> tuple[str, ...]:
        """What the Ingress cannot say of a target, one phrase each."""
        if target.is_main or self.server.router:
            return ()
        return tuple(reduction.what for reduction in reductions((target,), self._can))

    @property
    def _can(self) -> Capabilities:
        return CAPABILITIES[self.server.ingress.controller]


def _wide(told: Target, wanted: Target) -> Iterator[Route]:
    return (row for row in wanted.routes if not row.narrow and row not in told.routes)


def make_edge(server: HomeServer) -> Edge:
    """Lay out the routes; raises CliError for a spec that the operator would refuse."""
    # What is wrong with the spec itself comes before what it refers to, which is not known here.
    outcome = validate(server, World())
    if isinstance(outcome, Rejected) and outcome.reason == INVALID_SPEC:
        raise CliError(f"the HomeServer is not valid: {outcome.message}")
    topology = make_topology(server)
    # Without the registrations of application services: these are secret, and not for people's
    # terminals. Rows that follow from them are left out.
    valid = ValidHomeServer(server, material={}, registrations={})
    return Edge(server, topology, targets(valid, topology))
