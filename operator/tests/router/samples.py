"""Homeservers with routers, and the files that are rendered for each."""

from functools import cache
from typing import Any

from tests.core import case
from tests.core.case import Case
from tests.core.worlds import BRIDGE_SECRET, EVERY_CLASS, MAS_SECRET, with_bridge, with_mas

from homeserver_operator.render.router import render_router
from homeserver_operator.routes import Target, targets

LIMITS = {
    "login": {"requests": 10},
    "registration": {"requests": 5, "periodSeconds": 3600},
    "initialSync": {"requests": 3},
}

SERVED = ("sync", "initialSync", "client", "eventSending")


def with_router(body: dict[str, Any], **router: Any) -> dict[str, Any]:
    """The same with a router."""
    return {**body, "spec": {**body["spec"], "router": router}}


@cache
def sample(name: str) -> Case:
    """A homeserver of those in NAMES."""
    if name == "everything":
        body = with_bridge(EVERY_CLASS, serves=SERVED)
        return Case(name, with_router(body, limits=LIMITS, trustedProxies=2), BRIDGE_SECRET)
    if name == "authentication-service":
        mas = with_bridge(with_mas(EVERY_CLASS), serves=SERVED)
        return Case(name, with_router(mas, accessLog=False), MAS_SECRET | BRIDGE_SECRET)
    if name == "whoami":
        asks = with_bridge(with_mas(EVERY_CLASS), serves=SERVED)
        return Case(name, with_router(asks, whoami={}), MAS_SECRET | BRIDGE_SECRET)
    found = case.read(name)
    return Case(name, with_router(dict(found.body)), found.users)


NAMES = ("minimal", "example", "everything", "authentication-service", "whoami")


@cache
def everyone(name: str) -> tuple[Target, ...]:
    """The targets of a homeserver."""
    found = sample(name)
    return targets(found.valid, found.topology)


def files(found: Case) -> dict[str, str]:
    """What is rendered for a homeserver."""
    return render_router(found.valid, found.topology, targets(found.valid, found.topology))
