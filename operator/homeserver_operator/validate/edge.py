"""Rules over the way in: annotations that would undo the routing, hosts that cannot be."""

from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Final

from homeserver_operator.api.access import Ingress
from homeserver_operator.api.spec import HomeServer

_NGINX: Final = "nginx.ingress.kubernetes.io/"
_TRAEFIK: Final = "traefik.ingress.kubernetes.io/"
_HAPROXY: Final = "haproxy-ingress.github.io/"

_PATHS = "every path is a regular expression"
_PRIORITY = "workers' paths come before main's"
_REWRITE = "Synapse needs the paths as they come"
_COUNT = "it follows from the number of processes behind a route"
_KIND = "it follows from the kind of route"

OWNED: Final[Mapping[str, Mapping[str, str]]] = {
    "ingress-nginx": {
        f"{_NGINX}use-regex": _PATHS,
        f"{_NGINX}rewrite-target": _REWRITE,
        f"{_NGINX}service-upstream": _COUNT,
        f"{_NGINX}upstream-hash-by": _KIND,
    },
    "traefik": {
        f"{_TRAEFIK}router.pathmatcher": _PATHS,
        f"{_TRAEFIK}router.priority": _PRIORITY,
        f"{_TRAEFIK}router.rulesyntax": _PATHS,
    },
    "haproxy-ingress": {
        f"{_HAPROXY}path-type": _PATHS,
        f"{_HAPROXY}rewrite-target": _REWRITE,
        f"{_HAPROXY}service-upstream": _COUNT,
        f"{_HAPROXY}balance-algorithm": _KIND,
    },
}
"""By controller: the annotations that the operator sets, and why nobody else may."""

_ISSUERS: Final = ("cert-manager.io/issuer", "cert-manager.io/cluster-issuer")


def problems(server: HomeServer) -> Iterator[str]:
    """Say what is wrong with `spec.ingress` (one sentence each)."""
    ingress = server.ingress
    yield from _annotations(ingress)
    if ingress.controller == "gateway-api":
        yield from _gateway(ingress)
    yield from _hosts(server)
    yield from _certificates(ingress)


def _annotations(ingress: Ingress) -> Iterator[str]:
    owned = OWNED.get(ingress.controller, {})
    for annotation in sorted(ingress.annotations):
        path = f"spec.ingress.annotations[{annotation}]"
        if reason := owned.get(annotation):
            yield f"{path} is the operator's, because {reason}: remove it"
        elif ingress.cert_manager and annotation in _ISSUERS:
            yield f"{path} says what spec.ingress.tls.certManager says: remove one of them"


def _gateway(ingress: Ingress) -> Iterator[str]:
    if ingress.gateway is None:
        yield "spec.ingress.gateway is needed with controller gateway-api: set it"
    for field, part in (("wellKnown", ingress.well_known), ("federation", ingress.federation)):
        if part and part.tls_secret_name:
            yield (
                f"spec.ingress.{field}.tls has no meaning with controller gateway-api: remove it, "
                "and name the certificate in a listener of the Gateway"
            )


def _hosts(server: HomeServer) -> Iterator[str]:
    ingress = server.ingress
    if ingress.well_known and ingress.well_known.enabled and _is_address(server.server_host):
        yield (
            "spec.ingress.wellKnown needs a serverName that is a DNS name, because nobody looks "
            "for .well-known at an IP address: remove it"
        )
    if ingress.federation and ingress.federation.host == server.client_host:
        yield (
            "spec.ingress.federation.host is the host of the clients, which serves federation "
            "anyway: remove it, or choose another host"
        )


def _certificates(ingress: Ingress) -> Iterator[str]:
    """Each host has an object that asks cert-manager for a certificate of that host alone."""
    if ingress.cert_manager is None:
        return
    parts = {"tls": ingress.tls_secret_name}
    if ingress.well_known:
        parts["wellKnown.tls"] = ingress.well_known.tls_secret_name
    if ingress.federation:
        parts["federation.tls"] = ingress.federation.tls_secret_name
    count = Counter(name for name in parts.values() if name)
    for field, secret in parts.items():
        if secret and count[secret] > 1:
            yield (
                f"spec.ingress.{field}.secretName: {secret} is to hold the certificates of several "
                "hosts, which cert-manager would write in turns: give each a Secret of its own"
            )


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
