"""What decides between the processes of a class for one request, and what is done if it fails.

In words for people: it must never print a token.
"""

import re
from typing import Final
from urllib.parse import unquote

from homeserver_operator.cli.edge import Edge
from homeserver_operator.cli.requests import Request
from homeserver_operator.render.router.keys import ROOM, SYNAPSES
from homeserver_operator.routes import Target
from homeserver_operator.routes.table import Route

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def key_of(edge: Edge, target: Target, request: Request) -> str | None:
    """By what the request's process is chosen; None if nothing is hashed."""
    key = edge.hash_by(target)
    if edge.server.router is None or key is None:
        return key
    if key == "room":
        found = re.search(ROOM, request.path)
        return f"room {unquote(found[2])}" if found else "source address"
    if key == "origin":
        return "the server that the header names as origin, or else the source address"
    return _user(dict(request.query), whoami=edge.server.router.whoami is not None)


def _user(query: dict[str, str], *, whoami: bool) -> str:
    token = query.get("access_token")
    if token and re.match(SYNAPSES, token):
        return "user, whom the access token in the URL names"
    if user := query.get("user_id"):
        return f"user {user}, for whom an application service speaks"
    if token and whoami:
        return "user, if the homeserver knows the access token in the URL, or else the whole token"
    if token:
        return "the access token in the URL, which names no user"
    if whoami:
        return (
            "user, if the access token in the header names one or the homeserver knows whose it "
            "is, or else the whole token"
        )
    return "user, if the access token in the header names one, or else the whole token"


def again(told: tuple[Target, Route] | None, request: Request) -> str:
    """Whether the router sends the request again."""
    target, route = told or (None, None)
    if target and target.route_class.may_kill:
        return "it is sent again only if no process has had it: one like it may end a process"
    if route and route.by_device and request.method in route.replay:
        return "it is sent again if its answer is lost, but not for an application service"
    if request.method in _SAFE or (route and request.method in route.replay):
        return "it is sent again if its answer is lost"
    return "it is sent again only if no process has had it"
