"""Which request goes to which process: one table, and its reading for a given topology.

The table itself is data (`table`); dialects compile it for one kind of proxy each. Nothing here
knows Kubernetes objects.
"""

from dataclasses import dataclass

from homeserver_operator.api.names import MAIN
from homeserver_operator.routes.table import CLASSES, ROUTES, Route, RouteClass
from homeserver_operator.topology import Topology


@dataclass(frozen=True)
class Target:
    """Where a route class goes: the worker groups that answer it, or main when there are none.

    `routes` are its rows. `single`: one process answers, so that its Service's address serves
    better than those of pods.
    """

    route_class: RouteClass
    groups: tuple[str, ...]
    single: bool
    routes: tuple[Route, ...]

    @property
    def is_main(self) -> bool:
        """Whether the class falls to the main process."""
        return self.groups == (MAIN,)


def targets(topology: Topology) -> tuple[Target, ...]:
    """Every route class with the groups that answer it, main's own class last.

    The writer of a stream comes before a group that merely serves the class, because Synapse
    answers 500 anywhere else for most of these; a class that nobody claims falls to main.
    """
    return tuple(_target(route_class, topology) for route_class in CLASSES)


def _target(route_class: RouteClass, topology: Topology) -> Target:
    groups: tuple[str, ...] = ()
    count = 0
    if route_class.stream and (writers := topology.writers.get(route_class.stream)):
        members = [p for p in topology.workers if p.instance in writers]
        groups = tuple(sorted({process.group for process in members}))
        count = len(members)
    elif route_class.serves and (groups := topology.serving(route_class.serves)):
        members = [process for group in groups for process in topology.of_group(group)]
        unnamed = any(not process.named for process in members)
        count = 2 if unnamed else len(members)
    return Target(
        route_class,
        groups or (MAIN,),
        single=not groups or count == 1,
        routes=tuple(route for route in ROUTES if route.route_class == route_class.name),
    )


def shared_classes(topology: Topology) -> dict[str, tuple[str, ...]]:
    """Route classes that several groups answer, and these groups.

    A Service selects by equality only, so the pods of these groups carry a label for the class.
    """
    return {
        target.route_class.name: target.groups
        for target in targets(topology)
        if len(target.groups) > 1
    }

