"""Groups that serve some application services alone: their class and their rows.

A request of an application service in the name of one of its users says so in the parameter
`user_id`, which proxies can match. One in its own name may be told by its token alone: an Ingress
must never hold one, so those requests go where everybody's go, unless a router asks the homeserver
whose the token is.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from homeserver_operator.routes.classes import CLASSES, RouteClass
from homeserver_operator.routes.table import Route
from homeserver_operator.validate.appservices import Registration


def dedicated_class(group: str, serves: frozenset[str]) -> RouteClass:
    """The class of all that the group serves; it hashes as its classes do, where these agree.

    What of it may end a process is told by the rows that everybody has.
    """
    like = [each for each in CLASSES if each.serves in serves]
    keys = {each.hash_by for each in like}
    return RouteClass(
        f"for-{group}",
        hash_by=keys.pop() if len(keys) == 1 else None,
        read_timeout=max(each.read_timeout for each in like),
    )


def dedicated_routes(
    group: str, rows: Iterable[Route], registrations: Iterable[Registration]
) -> tuple[tuple[Route, ...], tuple[str, ...]]:
    """The group's rows, narrowed to users of the registrations, and what proxies cannot match.

    A row that a query decides already cannot be narrowed once more; the wide row of its pattern
    includes it, if the group serves that class too.
    """
    usable: list[str] = []
    dropped: list[str] = []
    for registration in registrations:
        # Synapse lets it act as its sender, too, whom no namespace need have.
        usable.append(re.escape(registration.sender))
        for number, pattern in enumerate(registration.user_patterns):
            if _in_every_dialect(pattern):
                # Synapse matches at the start only.
                usable.append(f"(?:{pattern}).*")
            else:
                dropped.append(
                    f"requests of application service {registration.id} for its namespace "
                    f"namespaces.users[{number}] are not told from others: proxies do not know all "
                    "of its regular expression; write it without look-around, back-references and "
                    "flags"
                )
    if not usable:
        return (), tuple(dropped)
    users = "|".join(usable)
    return (
        tuple(
            replace(row, route_class=f"for-{group}", query=("user_id", f"(?:{users})"))
            for row in rows
            if row.query is None
        ),
        tuple(dropped),
    )


_BEYOND_RE2: Final = re.compile(r"\\[1-9AbBgGkKNXZ]|\(\?(?!:)|[*+?}]\+|\{[0-9]*,?[0-9]{4,}")


def _in_every_dialect(pattern: str) -> bool:
    """Whether RE2, PCRE and Python agree on a pattern; when in doubt, not."""
    return not _BEYOND_RE2.search(pattern.replace("\\\\", ""))
