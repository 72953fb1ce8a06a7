"""The routing tier of a homeserver's own, as the spec has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homeserver_operator.api.groups import Scheduling, parse_scheduling


@dataclass(frozen=True)
class Limit:
    """How many requests one source or token may make in a period; what is beyond is refused."""

    requests: int
    period_seconds: int = 60


@dataclass(frozen=True)
class Limits:
    """What the router refuses before Synapse sees it. None: nothing.

    Logins and registrations count by source address, initial syncs by access token.
    """

    login: Limit | None = None
    registration: Limit | None = None
    initial_sync: Limit | None = None


@dataclass(frozen=True)
class Whoami:
    """Asking the homeserver whose a token is that does not say so; answers are kept so long."""

    cache_seconds: int = 300


@dataclass(frozen=True)
class Router:
    """HAProxy in front of the processes.

    `image` None: the operator's default. `hold_seconds` bounds how long a request waits for a
    process that does not listen. `trusted_proxies` is how many in front append to X-Forwarded-For.
    `whoami` None: tokens that do not say whose they are stay unknown.
    """

    replicas: int = 2
    image: str | None = None
    hold_seconds: int = 25
    trusted_proxies: int = 1
    access_log: bool = True
    limits: Limits = Limits()
    whoami: Whoami | None = None
    scheduling: Scheduling = field(default_factory=Scheduling)


def parse_router(spec: Mapping[str, Any] | None) -> Router | None:
    """Read spec.router; None if there is to be no router."""
    if spec is None:
        return None
    limits = spec.get("limits", {})
    whoami = spec.get("whoami")
    return Router(
        replicas=spec.get("replicas", 2),
        image=spec.get("image"),
        hold_seconds=spec.get("holdSeconds", 25),
        trusted_proxies=spec.get("trustedProxies", 1),
        access_log=spec.get("accessLog", True),
        limits=Limits(
            login=_limit(limits.get("login")),
            registration=_limit(limits.get("registration")),
            initial_sync=_limit(limits.get("initialSync")),
        ),
        whoami=None if whoami is None else Whoami(whoami.get("cacheSeconds", 300)),
        scheduling=parse_scheduling(spec),
    )


def _limit(spec: Mapping[str, Any] | None) -> Limit | None:
    return None if spec is None else Limit(spec["requests"], spec.get("periodSeconds", 60))
