"""Ways in and out, and who does the logins, as the spec has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homeserver_operator.api.references import ForeignService, SecretRef


@dataclass(frozen=True)
class Gateway:
    """The Gateway that somebody else runs, to which HTTPRoutes attach."""

    name: str
    namespace: str | None
    section_name: str | None


@dataclass(frozen=True)
class CertManager:
    """The issuer of the certificates; `kind` is "Issuer" or "ClusterIssuer"."""

    issuer_name: str
    issuer_kind: str


@dataclass(frozen=True)
class WellKnown:
    """/.well-known/matrix at the server name's own host."""

    enabled: bool
    tls_secret_name: str | None


@dataclass(frozen=True)
class FederationHost:
    """A host name for other servers alone."""

    host: str
    tls_secret_name: str | None


MAX_BODY_SIZE = "50m"


@dataclass(frozen=True)
class Ingress:
    """How clients and other servers come in. `host` None: the server name without its port."""

    enabled: bool = True
    class_name: str | None = None
    host: str | None = None
    controller: str = "ingress-nginx"
    gateway: Gateway | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    tls_secret_name: str | None = None
    cert_manager: CertManager | None = None
    well_known: WellKnown | None = None
    federation: FederationHost | None = None
    admin_api: bool = False
    max_body_size: str = MAX_BODY_SIZE


@dataclass(frozen=True)
class MatrixAuthenticationService:
    """Who does the logins in Synapse's place. `service` None: its users route to it themselves."""

    endpoint: str
    secret: SecretRef
    service: ForeignService | None = None


@dataclass(frozen=True)
class NetworkAccess:
    """Who may connect to the pods, and where these may; peers and rules are Kubernetes' own.

    `clients_from` and `metrics_from` empty: everybody.
    """

    enabled: bool = True
    clients_from: tuple[Mapping[str, Any], ...] = ()
    metrics_from: tuple[Mapping[str, Any], ...] = ()
    egress: tuple[Mapping[str, Any], ...] = ()


def parse_ingress(spec: Mapping[str, Any]) -> Ingress:
    """Read spec.ingress."""
    gateway, issuer = spec.get("gateway"), spec.get("tls", {}).get("certManager")
    well_known, federation = spec.get("wellKnown"), spec.get("federation")
    return Ingress(
        enabled=spec.get("enabled", True),
        class_name=spec.get("className"),
        host=spec.get("host"),
        controller=spec.get("controller", "ingress-nginx"),
        gateway=None
        if gateway is None
        else Gateway(gateway["name"], gateway.get("namespace"), gateway.get("sectionName")),
        annotations=spec.get("annotations", {}),
        tls_secret_name=_tls_secret_name(spec),
        cert_manager=None
        if issuer is None
        else CertManager(issuer["issuerName"], issuer.get("issuerKind", "Issuer")),
        well_known=None
        if well_known is None
        else WellKnown(well_known.get("enabled", True), _tls_secret_name(well_known)),
        federation=None
        if federation is None
        else FederationHost(federation["host"], _tls_secret_name(federation)),
        admin_api=spec.get("adminApi", False),
        max_body_size=spec.get("maxBodySize", MAX_BODY_SIZE),
    )


def parse_authentication(spec: Mapping[str, Any] | None) -> MatrixAuthenticationService | None:
    """Read spec.matrixAuthenticationService."""
    if spec is None:
        return None
    service = spec.get("service")
    return MatrixAuthenticationService(
        endpoint=spec["endpoint"],
        secret=SecretRef(spec["secret"]["secretName"], spec["secret"]["key"]),
        service=ForeignService(service["name"], service["port"]) if service else None,
    )


def _tls_secret_name(spec: Mapping[str, Any]) -> str | None:
    name: str | None = spec.get("tls", {}).get("secretName")
    return name


def parse_network(spec: Mapping[str, Any]) -> NetworkAccess:
    """Read spec.networkPolicy."""
    return NetworkAccess(
        enabled=spec.get("enabled", True),
        clients_from=tuple(spec.get("clientsFrom", ())),
        metrics_from=tuple(spec.get("metricsFrom", ())),
        egress=tuple(spec.get("egress", ())),
    )
