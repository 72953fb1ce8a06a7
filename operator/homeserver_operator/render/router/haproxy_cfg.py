"""haproxy.cfg, for HAProxy 2.6 and later.

Holding requests is made of retries: a connection that is refused is tried again after the time to
connect has passed, and nothing here ever calls a server down. That takes two things. Balancing must
be by hash, because any other kind goes on to the next server at once and has spent its retries in
an instant; where nothing is to be hashed by, it is by chance. And between two changes of the server
there must be tries of the same one, because only these wait.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from homeserver_operator.api.names import MAIN, ROUTER_METRICS_PORT
from homeserver_operator.api.router import Router
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.render.router import too_large
from homeserver_operator.render.router.answers import ERRORS, on_error
from homeserver_operator.render.router.backends import Backend
from homeserver_operator.render.router.frontend import frontend_rules
from homeserver_operator.render.router.keys import key_rules
from homeserver_operator.render.router.limits import tables
from homeserver_operator.render.router.maps import PODS, Stage
from homeserver_operator.render.router.whoami import FILE, WHOAMI, lookup_frontend, lookup_rules

RUN: Final = "/run/router"
ADMIN_SOCKET: Final = f"{RUN}/admin.sock"
WHOAMI_SOCKET: Final = f"unix@{RUN}/whoami.sock"

CONNECT_MS: Final = 200
"""How long to wait for a connection, and between two tries of one server."""

REDISPATCH: Final = 3
"""Which of the tries changes the server."""

NOBODY: Final = "192.0.2.1"
"""The address of a slot without a pod: it is of a network that is nobody's."""

WEIGHT: Final = 64
"""Points of a server on the circle, in sixteens: they even out how many keys each one has."""

FALLBACK_ID: Final = 1000
FALLBACK_CONNECTIONS: Final = 16
"""How many requests of a class main answers at a time, in place of those who are gone."""

_LONGEST_LINE: Final = 8192

_LUA_MEGABYTES: Final = 48
"""A bound for the worst: what whoami.lua remembers is bounded by number, and is far less."""


def render_config(
    server: HomeServer, router: Router, backends: tuple[Backend, ...], stages: Iterable[Stage]
) -> str:
    """The whole file."""
    sections = [
        _section("global", _global(router)),
        _section("defaults", _defaults(router)),
        _section("frontend http", frontend_rules(server, router, tuple(stages))),
        _section("frontend metrics", _metrics()),
        *(_section(f"backend {name}", lines) for name, lines in tables(router.limits)),
        *_lookups(router),
        *(
            _section(f"backend {each.name}", _backend(each, whoami=router.whoami is not None))
            for each in backends
        ),
    ]
    return "\n".join(sections)


def _section(head: str, lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in (head, *(f"  {line}" for line in lines)))


def _lookups(router: Router) -> Iterator[str]:
    if router.whoami:
        yield _section(f"frontend {WHOAMI}", lookup_frontend(WHOAMI_SOCKET))


def _global(router: Router) -> Iterator[str]:
    yield f"log stdout len {_LONGEST_LINE} format raw local0 info"
    yield f"stats socket {ADMIN_SOCKET} mode 600 level admin expose-fd listeners"
    # Maps are found beside this file, of whichever revision it is.
    yield "default-path config"
    # Two files each.
    yield "maxconn 8000"
    yield "nbthread 2"
    # What fits is sent again if an answer is lost, and bounds URL and headers together.
    yield "tune.bufsize 32768"
    yield "tune.maxrewrite 2048"
    # Most paths are seen but once, so remembering what they matched costs more than it saves.
    yield "tune.pattern.cache-size 0"
    # After a new configuration the old process ends the requests that it has.
    yield "hard-stop-after 11m"
    yield f"lua-load {too_large.FILE}"
    if router.whoami:
        yield f"tune.lua.maxmem {_LUA_MEGABYTES}"
        yield f"lua-load {FILE}"


def _defaults(router: Router) -> Iterator[str]:
    yield "mode http"
    yield "log global"
    yield "option dontlognull"
    if not router.access_log:
        yield "option dontlog-normal"
    yield f"timeout connect {CONNECT_MS}ms"
    # The headers, and as much of the body as fits a buffer, before Synapse hears of a request.
    yield "option http-buffer-request"
    yield "timeout http-request 30s"
    # Longer than proxies in front keep idle connections, or they send into closed ones.
    yield "timeout http-keep-alive 75s"
    yield "timeout client 75s"
    yield "timeout server 60s"
    yield f"timeout queue {router.hold_seconds}s"
    # A connection that is kept may be closed just when a request is sent: none is kept.
    yield "option http-server-close"
    yield "option abortonclose"
    yield f"retries {router.hold_seconds * 1000 // CONNECT_MS}"
    yield "retry-on conn-failure empty-response"
    yield from map(on_error, ERRORS)


def _metrics() -> Iterator[str]:
    yield f'bind "${{ROUTER_ADDRESS}}:{ROUTER_METRICS_PORT}"'
    yield "no log"
    # Slots without a pod would be most of it.
    yield "http-request set-query no-maint if { path /metrics } !{ query -m found }"
    yield "http-request use-service prometheus-exporter if { path /metrics }"
    yield "http-request deny deny_status 404"


def _backend(backend: Backend, *, whoami: bool) -> Iterator[str]:
    target = backend.target
    groups = "+".join(target.groups) if target.groups else backend.service
    yield f"http-request set-var(txn.groups) str({groups})"
    yield f"http-response set-var(txn.pod) bc_dst,map_ip({PODS})"
    yield f"timeout server {target.route_class.read_timeout}s"
    if target.route_class.hash_by and not backend.single:
        yield from key_rules(target.route_class.hash_by, whoami=whoami)
        yield "balance hash var(txn.key)"
    else:
        yield "balance hash rand(1000000000)"
    yield "hash-type consistent sdbm avalanche"
    # Of one process, too: else a held request goes on asking where its process has been.
    if backend.name == WHOAMI:
        yield from lookup_rules()
    else:
        yield f"option redispatch {REDISPATCH}"
    weight = "" if backend.single else f" weight {WEIGHT}"
    for slot in range(1, backend.slots + 1):
        yield f"server s{slot} {NOBODY}:{backend.port} id {slot}{weight} disabled"
    if backend.falls_back:
        yield (
            f"server {MAIN} {NOBODY}:{backend.port} id {FALLBACK_ID} backup "
            f"maxconn {FALLBACK_CONNECTIONS} disabled"
        )
