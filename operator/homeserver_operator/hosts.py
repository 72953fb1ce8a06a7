"""Whose a host is: what a homeserver has of the hosts that it wants, and what it may not have.

Ingress controllers mix the requests of two homeservers at one host, and whoever gets those of the
other's users logs them out. So a host is whose it was first. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from homeserver_operator.api.spec import HomeServer, parse
from homeserver_operator.api.words import listed
from homeserver_operator.api.world import HostClaim, Object, World
from homeserver_operator.build.edge import hosts_of, live_entrances
from homeserver_operator.routes.dialects import GATEWAY_API
from homeserver_operator.routes.exposure import CLIENTS, WELL_KNOWN, Site, sites
from homeserver_operator.status.conditions import ACCEPTED
from homeserver_operator.validate import Rejected

HOST_TAKEN: Final = "HostTaken"

_EVERYTHING: Final = "/"
_MOST: Final = 4
"""Most sentences of one kind: an older operator may have given one host to any number."""


@dataclass(frozen=True)
class Contest:
    """Hosts that are another's: not to be had, or `shared` since long ago. Empty without."""

    taken: str
    shared: str


def wanted_hosts(body: Object) -> frozenset[str]:
    """Every host that a HomeServer asks for."""
    return frozenset(site.host for site in sites(parse(body)))


def was_accepted(body: Object, *, lately: bool = False) -> bool:
    """Whether its spec was found good, `lately` the present one; then it has what it asks for."""
    status = body.get("status", {})
    if lately and status.get("observedGeneration") != body["metadata"].get("generation"):
        return False
    said = {each["type"]: each["status"] for each in status.get("conditions", ())}
    return said.get(ACCEPTED) == "True"


def claim_of(body: Object, world: World, *, accepted: bool) -> HostClaim:
    """What a HomeServer has: what it asks for if that was accepted, and what leads to it now."""
    server = parse(body)
    live = {host for each in live_entrances(server, world) for host in hosts_of(each)}
    wanted = _wanted(server)
    hosts = {host for host, _ in wanted}
    has = {place for place in wanted if accepted or place[0] in live}
    # Which paths do not matter at a host that it is about to leave.
    has |= {(host, _EVERYTHING) for host in live - hosts}
    return HostClaim(
        key=server.key,
        created=body["metadata"].get("creationTimestamp", ""),
        front=_front(server),
        hosts=frozenset(hosts | live),
        has=frozenset(has),
    )


def granted(claim: HostClaim, server: HomeServer) -> HostClaim:
    """What it has once its spec is accepted."""
    return replace(claim, has=claim.has | _wanted(server))


def find_contest(server: HomeServer, mine: HostClaim, rivals: Iterable[HostClaim]) -> Contest:
    """What others have of what this one wants.

    Who has a host goes on with it, whoever came first: an operator that did not look has given it.
    """
    taken, shared, held = [], [], {host for host, _ in mine.has}
    for rival in sorted(rivals, key=_age):
        for site in sites(server):
            if not _meets(site, mine, rival):
                continue
            where = f"{_field(server, site)}: {site.host} leads to HomeServer {'/'.join(rival.key)}"
            if site.host not in held:
                what = "remove it" if site.name == WELL_KNOWN else "choose another host"
                taken.append(f"{where} already: {what}, or have that one leave it")
            elif _age(rival) < _age(mine):
                shared.append(
                    f"{where}, which is older, as well as to this one, and each may get requests "
                    "that are the other's: have one of them leave it"
                )
    return Contest(listed(taken, _MOST), listed(shared, _MOST))


def refusal(contest: Contest) -> Rejected:
    """What to say instead of doing what is asked for; who waits for a host is woken."""
    rest = (
        "At one host each would get requests of the other's, so nothing of this spec is applied, "
        "and what ran before goes on; once the host is free, it is applied by itself"
    )
    return Rejected(HOST_TAKEN, f"{contest.taken}. {rest}")


def _age(claim: HostClaim) -> tuple[str, str, str]:
    return claim.created, *claim.key


def _meets(site: Site, mine: HostClaim, rival: HostClaim) -> bool:
    """Whether a request for one of the site's paths may reach the other.

    Not if each names an IngressClass or a Gateway, and these are two.
    """
    if mine.front and rival.front and mine.front != rival.front:
        return False
    theirs = [path for host, path in rival.has if host == site.host]
    return any(a.startswith(b) or b.startswith(a) for a in _paths(site) for b in theirs)


def _wanted(server: HomeServer) -> frozenset[tuple[str, str]]:
    return frozenset((site.host, path) for site in sites(server) for path in _paths(site))


def _paths(site: Site) -> tuple[str, ...]:
    return (*site.prefixes, *site.exact)


def _front(server: HomeServer) -> tuple[str, ...] | None:
    ingress = server.ingress
    if ingress.controller == GATEWAY_API and ingress.gateway:
        return ingress.gateway.namespace or server.key.namespace, ingress.gateway.name
    return (ingress.class_name,) if ingress.class_name else None


def _field(server: HomeServer, site: Site) -> str:
    if site.name == CLIENTS:
        return "spec.ingress.host" + ("" if server.ingress.host else " (left out)")
    return "spec.ingress.wellKnown" if site.name == WELL_KNOWN else "spec.ingress.federation.host"
