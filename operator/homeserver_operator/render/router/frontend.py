"""The rules of the router's one way in: what is let in, which row a request falls to.

A later rule never looks at the path or the query again: they go by the variables that rows set.
What a request is, `txn.row` says, the row that it has for everybody. A row of a group for some
application services alone, `txn.own`, only leads it elsewhere: it goes by what anybody may write
into a query, and nobody is to choose what is counted or sent again.
"""

from collections.abc import Iterator
from typing import Final

from homeserver_operator.api.names import MAIN, ROUTER_PORT
from homeserver_operator.api.router import Router
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.render.router import queries, too_large
from homeserver_operator.render.router.answers import answer
from homeserver_operator.render.router.keys import OF_DEVICES
from homeserver_operator.render.router.limits import limit_rules
from homeserver_operator.render.router.log import LOG_FORMAT, log_rules
from homeserver_operator.render.router.maps import BY_DEVICE, Stage
from homeserver_operator.render.router.whoami import user_rules
from homeserver_operator.routes.classes import CLASSES
from homeserver_operator.routes.exposure import open_prefixes

_FACTOR: Final = {"k": 2**10, "m": 2**20, "g": 2**30}


def frontend_rules(server: HomeServer, router: Router, stages: tuple[Stage, ...]) -> Iterator[str]:
    """All lines of the section, in the order in which HAProxy goes through them."""
    yield f'bind "${{ROUTER_ADDRESS}}:{ROUTER_PORT}"'
    # After a reload the old process answers on connections that it has, before it closes them.
    yield "option idle-close-on-response"
    yield f"log-format '{LOG_FORMAT}'"
    yield from _source(router.trusted_proxies)
    yield from log_rules()
    yield from _closed(server)
    if router.whoami:
        asked = (f"{{ path,map_reg({s.file}) -m found }} {_fixed(s)}" for s in stages if s.by_user)
        yield from user_rules(asked)
    for stage in stages:
        yield _stage(stage, whoami=router.whoami is not None)
    yield _unclear()
    yield from _again()
    yield from limit_rules(router.limits)
    if any(stage.by_user for stage in stages):
        yield "http-request set-var(txn.row) var(txn.own) if { var(txn.own) -m found }"
    yield "use_backend %[var(txn.row),field(1,:)]"


def _source(trusted: int) -> Iterator[str]:
    """Whom a request is from, as the first proxy that is trusted has seen it.

    Synapse believes the first address that it is told, so it is told this one alone.
    """
    yield "http-request set-var(txn.source) src"
    if trusted:
        count = "req.hdr_cnt(x-forwarded-for)"
        if trusted > 1:
            # Who came past the first of them.
            fewer = f"{{ {count} gt 0 }}"
            yield f"http-request set-var(txn.source) req.hdr_ip(x-forwarded-for,1) if {fewer}"
        yield (
            f"http-request set-var(txn.source) req.hdr_ip(x-forwarded-for,-{trusted}) "
            f"if {{ {count} ge {trusted} }}"
        )
    else:
        yield "http-request set-header X-Forwarded-Proto http"
    yield "http-request set-header X-Forwarded-For %[var(txn.source)]"
    # Nothing of Matrix changes the protocol of a connection.
    yield "http-request del-header upgrade"


def _closed(server: HomeServer) -> Iterator[str]:
    """What never reaches a process: other paths than those that are open, and bodies too large."""
    heads = " ".join(f"{prefix}/" for prefix in open_prefixes(server))
    yield answer(404, "M_UNRECOGNIZED", "Unrecognized request") + (
        f" unless {{ path -m beg {heads} }}"
    )
    # Synapse matches the path alone.
    yield "http-request set-uri %[pathq] unless { url -m beg / }"
    if largest := _bytes(server.ingress.max_body_size):
        yield f"{too_large.ACTION} if {{ req.hdr_val(content-length) gt {largest} }}"


def _bytes(size: str) -> int:
    number, unit = (size[:-1], size[-1].lower()) if size[-1].isalpha() else (size, "")
    return int(number) * _FACTOR.get(unit, 1)


def _stage(stage: Stage, *, whoami: bool) -> str:
    if not stage.narrow:
        lookup = f"map_str({stage.file})" if stage.plain else f"map_reg({stage.file},{MAIN}::)"
        return f"http-request set-var(txn.row) path,{lookup} unless {{ var(txn.row) -m found }}"
    conditions = " ".join(filter(None, (_fixed(stage), _value(stage, whoami=whoami))))
    variable = "txn.own" if stage.by_user else "txn.row"
    return (
        f"http-request set-var({variable}) path,map_reg({stage.file}) "
        f"if !{{ var({variable}) -m found }} {conditions}"
    )


def _fixed(stage: Stage) -> str:
    """What must hold beside the value of a parameter."""
    found = []
    if stage.methods:
        found.append(f"{{ method {' '.join(sorted(stage.methods))} }}")
    if stage.without_query:
        found.append(f"!{{ urlp({stage.without_query}) -m len gt 0 }}")
    return " ".join(found)


def _value(stage: Stage, *, whoami: bool) -> str | None:
    if stage.query is None:
        return None
    # Whom the request names, or else whose its token is.
    what = "var(txn.user)" if whoami and stage.by_user else f"urlp({stage.query[0]}),url_dec(1)"
    return f"{{ {what} -m reg -f {stage.values} }}"


def _unclear() -> str:
    """Refuse a query that decides something, and that Synapse may read in another way."""
    patterns = " ".join(f"'{pattern}'" for pattern in queries.AMBIGUOUS)
    return answer(400, "M_INVALID_PARAM", queries.WHY) + (
        f" if {{ var(txn.row),field(1,:) -m str {' '.join(queries.CLASSES)} }}"
        f" {{ query -m reg {patterns} }}"
    )


def _again() -> Iterator[str]:
    """Sending again what a process has had, but not answered, is for what may come twice.

    What reached no process is always tried again.
    """
    deadly = " ".join(each.name for each in CLASSES if each.may_kill)
    yield f"http-request disable-l7-retry if {{ var(txn.row),field(1,:) -m str {deadly} }}"
    methods = " or ".join(
        f"METH_{method} {{ var(txn.row),field(2,:) -m sub {method} }}"
        for method in ("PUT", "POST", "DELETE")
    )
    yield f"http-request disable-l7-retry unless METH_GET or {methods} or METH_OPTIONS"
    yield (
        "http-request disable-l7-retry "
        f"if METH_PUT {{ var(txn.row),field(2,:) -m sub {BY_DEVICE} }} "
        f"!{{ req.fhdr(authorization) -m reg -i '^bearer +{OF_DEVICES}' }} "
        f"!{{ urlp(access_token) -m reg ^{OF_DEVICES} }}"
    )
