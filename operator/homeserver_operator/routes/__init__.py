"""Which request goes to which process: one table, and its reading for a given homeserver.

The table itself is data (`table`, `classes`); dialects compile it for one kind of proxy each.
Nothing here knows Kubernetes objects.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from homeserver_operator.api.names import MAIN
from homeserver_operator.api.references import ForeignService
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.routes.classes import CLASSES, MAS, RouteClass
from homeserver_operator.routes.dedicated import dedicated_class, dedicated_routes
from homeserver_operator.routes.table import ROUTES, Route
from homeserver_operator.topology import Process, Topology
from homeserver_operator.validate import ValidHomeServer


@dataclass(frozen=True)
class Target:
    """Where a route class goes: the worker groups that answer it, or main when there are none.

    `routes` are its rows. `single`: one process answers, so that its Service's address serves
    better than those of pods; `process` is its name. `claim` is the word of `serves` or `writes` by
    which its groups have the class: classes that go together share it.

    `service` is a Service of the user's that answers in place of any process of ours, for the
    Matrix Authentication Service's compatibility layer: there are no groups then, and no Service is
    made. `appservices` names the application services whose requests alone go there; the rows tell
    them by `user_id`, and `dropped` says which cannot be told so. A router may ask the homeserver
    whose the token of a request without it is.
    """

    route_class: RouteClass
    groups: tuple[str, ...]
    single: bool
    routes: tuple[Route, ...]
    process: str | None = None
    claim: str = ""
    service: ForeignService | None = None
    appservices: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def is_main(self) -> bool:
        """Whether the class falls to the main process."""
        return self.groups == (MAIN,)

    @property
    def claim_label(self) -> str:
        """The claim as labels are written: deviceLists becomes device-lists."""
        return re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", self.claim)

    @property
    def has_own_service(self) -> bool:
        """Whether a client Service of ours stands before its groups, named by the class."""
        return not self.is_main and self.service is None

    def members(self, topology: Topology) -> tuple[Process, ...]:
        """The processes that answer it, which need not be all of their groups."""
        return tuple(
            process
            for group in self.groups
            for process in topology.of_group(group)
            if self.process in {None, process.name}
        )


MAIN_TARGET: Final = Target(
    RouteClass(MAIN, read_timeout=180), (MAIN,), single=True, routes=(), process=MAIN
)
"""Where everything goes that no row leads to a worker."""


def targets(server: ValidHomeServer, topology: Topology) -> tuple[Target, ...]:
    """Every route class with the groups that answer it; where rows compete, the first one wins.

    That is how narrow rows of application services come before all others. The writer of a stream
    comes before a group that merely serves the class, because Synapse answers 500 anywhere else for
    most of these; a class that nobody claims falls to main.
    """
    rows = {route_class.name: _rows(server.spec, route_class) for route_class in CLASSES}
    return (
        *_dedicated(server, topology),
        *_foreign(server.spec),
        *(
            _target(route_class, topology, rows[route_class.name])
            for route_class in CLASSES
            if rows[route_class.name]
        ),
    )


def _rows(spec: HomeServer, route_class: RouteClass) -> tuple[Route, ...]:
    """The rows of a class that exist for this homeserver."""
    logins = "mas" if spec.authentication else "synapse"
    return tuple(
        route
        for route in ROUTES
        if route.route_class == route_class.name
        and route.only in {None, logins}
        and (spec.ingress.admin_api or not route.admin)
    )


def _dedicated(server: ValidHomeServer, topology: Topology) -> Iterator[Target]:
    """A target for each group that serves some application services alone, and has processes."""
    for group in sorted({process.group for process in topology.workers if process.appservices}):
        members = topology.of_group(group)
        first = members[0]
        if all(process.replicas == 0 for process in members):
            continue
        rows = [
            route
            for route_class in CLASSES
            if route_class.serves in first.serves
            for route in _rows(server.spec, route_class)
        ]
        names = tuple(sorted(first.appservices))
        known = [server.registrations[name] for name in names if name in server.registrations]
        alone = _alone(members)
        routes, dropped = dedicated_routes(group, rows, known)
        yield Target(
            dedicated_class(group, first.serves),
            (group,),
            single=alone is not None,
            routes=routes,
            process=alone,
            appservices=names,
            dropped=dropped,
        )


def _foreign(spec: HomeServer) -> Iterator[Target]:
    if spec.authentication and (service := spec.authentication.service):
        yield Target(MAS, (), single=True, routes=_rows(spec, MAS), service=service)


def _target(route_class: RouteClass, topology: Topology, routes: tuple[Route, ...]) -> Target:
    if claim := _claim(route_class, topology):
        word, members = claim
        groups = tuple(sorted({process.group for process in members}))
        alone = _alone(members)
        return Target(route_class, groups, alone is not None, routes, alone, word)
    return Target(route_class, (MAIN,), single=True, routes=routes, process=MAIN)


def _claim(route_class: RouteClass, topology: Topology) -> tuple[str, tuple[Process, ...]] | None:
    """By which word of the resource processes have the class, and these processes."""
    stream, serves = route_class.stream, route_class.serves
    if stream and (writers := topology.writers.get(stream)):
        return stream, tuple(p for p in topology.workers if p.instance in writers)
    if serves and (groups := topology.serving(serves)):
        return serves, tuple(p for group in groups for p in topology.of_group(group))
    if route_class.otherwise:
        (other,) = (each for each in CLASSES if each.name == route_class.otherwise)
        return _claim(other, topology)
    return None


def _alone(members: tuple[Process, ...]) -> str | None:
    """The one process that these are and will be; one that may be scaled counts as several."""
    return members[0].name if len(members) == 1 and members[0].named else None


def shared_claims(found: Iterable[Target]) -> dict[str, tuple[str, ...]]:
    """What several groups claim together, and these groups.

    A Service selects by equality only, so the pods of these groups carry a label for it: one for
    what they claim, not for each class that follows from it, so that a new class restarts nobody.
    """
    return {target.claim_label: target.groups for target in found if len(target.groups) > 1}
