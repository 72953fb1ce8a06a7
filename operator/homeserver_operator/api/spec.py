"""The HomeServer's spec as frozen values, and the parser that makes them.

The CRD's schema has already checked types, enums and bounds; static defaults that the schema
gives are repeated here only as the dataclasses' defaults, so that tests and offline plans need no
API server. What the spec *means* is decided in `validate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homeserver_operator.api.world import Key, Object


@dataclass(frozen=True)
class SecretRef:
    """One key of a Secret in the HomeServer's namespace."""

    secret_name: str
    key: str


@dataclass(frozen=True)
class Scheduling:
    """What a pod asks of its node; each value goes into the pod template as it is.

    `topology_spread_constraints` None leaves the choice to the operator.
    """

    resources: Mapping[str, Any] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    affinity: Mapping[str, Any] = field(default_factory=dict)
    topology_spread_constraints: tuple[Mapping[str, Any], ...] | None = None
    priority_class_name: str = ""


@dataclass(frozen=True)
class ProcessOptions:
    """What main and every worker group can say about their own processes."""

    scheduling: Scheduling = Scheduling()
    log_level: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Autoscale:
    """Bounds and targets of an autoscaler; metrics and behavior go into its object as they are."""

    max_replicas: int
    min_replicas: int = 1
    cpu_utilization: int | None = None
    memory_utilization: int | None = None
    metrics: tuple[Mapping[str, Any], ...] = ()
    behavior: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkerGroup:
    """n workers of one shape. `replicas` None: one at first, afterwards whoever scales decides.

    With `appservices` it serves only their requests.
    """

    name: str
    replicas: int | None = None
    autoscale: Autoscale | None = None
    serves: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    appservices: frozenset[str] = frozenset()
    options: ProcessOptions = ProcessOptions()


@dataclass(frozen=True)
class Volume:
    """Size (a Kubernetes quantity) and class of a volume that we claim, or an existing claim."""

    size: str = "10Gi"
    storage_class_name: str | None = None
    access_mode: str = "ReadWriteOnce"
    existing_claim: str | None = None


@dataclass(frozen=True)
class ExternalPostgres:
    """A PostgreSQL that somebody else runs."""

    host: str
    port: int
    database: str
    secret_name: str
    username_key: str
    password_key: str
    ssl_mode: str | None
    ca: SecretRef | None


@dataclass(frozen=True)
class ManagedPostgres:
    """The single PostgreSQL that the operator runs, for evaluation."""

    image: str | None = None
    storage: Volume = Volume()
    resources: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Postgres:
    """Where the database is, and the bounds of each process's connection pool."""

    server: ExternalPostgres | ManagedPostgres = ManagedPostgres()
    min_connections: int = 5
    max_connections: int = 10


@dataclass(frozen=True)
class ExternalRedis:
    """A Redis that somebody else runs."""

    host: str
    port: int
    database: int
    secret_name: str | None
    username_key: str | None
    password_key: str
    tls: bool
    ca: SecretRef | None
    client_certificate: str | None = None
    """Name of a Secret of type kubernetes.io/tls."""


@dataclass(frozen=True)
class ManagedRedis:
    """The Redis that the operator runs. It holds no data that Synapse could not lose."""

    image: str | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Bucket:
    """A bucket of S3 that media are copied to. `secret_name` None: the client finds credentials."""

    name: str
    region: str | None
    endpoint: str | None
    prefix: str
    secret_name: str | None
    access_key_id_key: str
    secret_access_key_key: str
    store_local: bool
    store_remote: bool
    store_synchronous: bool


@dataclass(frozen=True)
class MediaStore:
    """Where media are: always on a volume, perhaps in a bucket too."""

    volume: Volume = Volume()
    s3: Bucket | None = None


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
class ForeignService:
    """A Service in the HomeServer's namespace that somebody else runs."""

    name: str
    port: int


@dataclass(frozen=True)
class MatrixAuthenticationService:
    """Who does the logins in Synapse's place. `service` None: its users route to it themselves."""

    endpoint: str
    secret: SecretRef
    service: ForeignService | None = None


@dataclass(frozen=True)
class AppserviceRef:
    """Where an application service's registration is."""

    name: str
    registration: SecretRef


@dataclass(frozen=True)
class NetworkAccess:
    """Who may connect to the pods, and where these may; peers and rules are Kubernetes' own.

    `clients_from` and `metrics_from` empty: everybody.
    """

    enabled: bool = True
    clients_from: tuple[Mapping[str, Any], ...] = ()
    metrics_from: tuple[Mapping[str, Any], ...] = ()
    egress: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class UserFile:
    """A Secret or ConfigMap that the user mounts at /files/<name>/."""

    name: str
    secret_name: str | None
    config_map_name: str | None


@dataclass(frozen=True)
class Retention:
    """What outlives the HomeServer; each is "Retain" or "Delete"."""

    secrets: str = "Retain"
    database: str = "Retain"
    media: str = "Retain"


@dataclass(frozen=True)
class HomeServer:
    """A HomeServer as its owner wrote it."""

    key: Key
    uid: str
    generation: int
    server_name: str
    image: str | None = None
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    paused: bool = False
    main: ProcessOptions = ProcessOptions()
    workers: tuple[WorkerGroup, ...] = ()
    postgres: Postgres = Postgres()
    redis: ExternalRedis | ManagedRedis = ManagedRedis()
    media: MediaStore = MediaStore()
    ingress: Ingress = Ingress()
    network: NetworkAccess = NetworkAccess()
    secrets: Mapping[str, SecretRef] = field(default_factory=dict)
    authentication: MatrixAuthenticationService | None = None
    appservices: tuple[AppserviceRef, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    config_from: tuple[SecretRef, ...] = ()
    files: tuple[UserFile, ...] = ()
    log_level: str = "INFO"
    retention: Retention = Retention()

    @property
    def server_host(self) -> str:
        """The server name without its port: where clients and servers look for .well-known."""
        name = self.server_name
        return name if name.endswith("]") else name.rsplit(":", 1)[0]

    @property
    def client_host(self) -> str:
        """The host name by which clients come in."""
        return self.ingress.host or self.server_host


def parse(body: Object) -> HomeServer:
    """Read a HomeServer from the API server's object.

    Raises KeyError or TypeError for an object that the CRD's schema would have refused.
    """
    metadata, spec = body["metadata"], body["spec"]
    return HomeServer(
        key=Key(metadata["namespace"], metadata["name"]),
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        server_name=spec["serverName"],
        image=spec.get("image"),
        image_pull_policy=spec.get("imagePullPolicy"),
        image_pull_secrets=tuple(ref["name"] for ref in spec.get("imagePullSecrets", ())),
        paused=spec.get("paused", False),
        main=_options(spec.get("main", {})),
        workers=tuple(_group(group) for group in spec.get("workers", ())),
        postgres=_postgres(spec.get("postgres", {})),
        redis=_redis(spec.get("redis", {})),
        media=_media(spec.get("mediaStore", {})),
        ingress=_ingress(spec.get("ingress", {})),
        network=_network(spec.get("networkPolicy", {})),
        secrets={
            name: SecretRef(ref["secretName"], ref["key"])
            for name, ref in spec.get("secrets", {}).items()
        },
        authentication=_authentication(spec.get("matrixAuthenticationService")),
        appservices=tuple(
            AppserviceRef(
                service["name"],
                SecretRef(service["secretName"], service.get("key", "registration.yaml")),
            )
            for service in spec.get("appservices", ())
        ),
        config=spec.get("config", {}),
        config_from=tuple(
            SecretRef(ref["secretName"], ref.get("key", "homeserver.yaml"))
            for ref in spec.get("configFrom", ())
        ),
        files=tuple(
            UserFile(file["name"], file.get("secretName"), file.get("configMapName"))
            for file in spec.get("files", ())
        ),
        log_level=spec.get("logLevel", "INFO"),
        retention=Retention(**spec.get("retention", {})),
    )


def _options(spec: Mapping[str, Any]) -> ProcessOptions:
    spread = spec.get("topologySpreadConstraints")
    return ProcessOptions(
        scheduling=Scheduling(
            resources=spec.get("resources", {}),
            node_selector=spec.get("nodeSelector", {}),
            tolerations=tuple(spec.get("tolerations", ())),
            affinity=spec.get("affinity", {}),
            topology_spread_constraints=None if spread is None else tuple(spread),
            priority_class_name=spec.get("priorityClassName", ""),
        ),
        log_level=spec.get("logLevel"),
        config=spec.get("config", {}),
    )


def _group(spec: Mapping[str, Any]) -> WorkerGroup:
    return WorkerGroup(
        name=spec["name"],
        replicas=spec.get("replicas"),
        autoscale=_autoscale(spec["autoscale"]) if "autoscale" in spec else None,
        serves=frozenset(spec.get("serves", ())),
        writes=frozenset(spec.get("writes", ())),
        runs=frozenset(spec.get("runs", ())),
        appservices=frozenset(spec.get("appservices", ())),
        options=_options(spec),
    )


def _autoscale(spec: Mapping[str, Any]) -> Autoscale:
    return Autoscale(
        max_replicas=spec["maxReplicas"],
        min_replicas=spec.get("minReplicas", 1),
        cpu_utilization=spec.get("cpuUtilization"),
        memory_utilization=spec.get("memoryUtilization"),
        metrics=tuple(spec.get("metrics", ())),
        behavior=spec.get("behavior", {}),
    )


def _volume(spec: Mapping[str, Any]) -> Volume:
    return Volume(
        size=str(spec.get("size", "10Gi")),
        storage_class_name=spec.get("storageClassName"),
        access_mode=spec.get("accessMode", "ReadWriteOnce"),
        existing_claim=spec.get("existingClaim"),
    )


def _certificate(ref: Mapping[str, Any] | None) -> SecretRef | None:
    return SecretRef(ref["secretName"], ref.get("key", "ca.crt")) if ref else None


def _postgres(spec: Mapping[str, Any]) -> Postgres:
    connections = spec.get("connections", {})
    server: ExternalPostgres | ManagedPostgres
    if "host" in spec:
        credentials = spec.get("credentials", {})
        server = ExternalPostgres(
            host=spec["host"],
            port=spec.get("port", 5432),
            database=spec.get("database", "synapse"),
            secret_name=credentials.get("secretName", ""),
            username_key=credentials.get("usernameKey", "username"),
            password_key=credentials.get("passwordKey", "password"),
            ssl_mode=spec.get("sslMode"),
            ca=_certificate(spec.get("caSecret")),
        )
    else:
        managed = spec.get("managed", {})
        server = ManagedPostgres(
            image=managed.get("image"),
            storage=_volume(managed.get("storage", {})),
            resources=managed.get("resources", {}),
        )
    return Postgres(server, connections.get("min", 5), connections.get("max", 10))


def _redis(spec: Mapping[str, Any]) -> ExternalRedis | ManagedRedis:
    if "host" not in spec:
        managed = spec.get("managed", {})
        return ManagedRedis(image=managed.get("image"), resources=managed.get("resources", {}))
    credentials = spec.get("credentials", {})
    return ExternalRedis(
        host=spec["host"],
        port=spec.get("port", 6379),
        database=spec.get("database", 0),
        secret_name=credentials.get("secretName"),
        username_key=credentials.get("usernameKey"),
        password_key=credentials.get("passwordKey", "password"),
        tls="tls" in spec,
        ca=_certificate(spec.get("tls", {}).get("caSecret")),
        client_certificate=spec.get("tls", {}).get("clientCertificate", {}).get("secretName"),
    )


def _media(spec: Mapping[str, Any]) -> MediaStore:
    return MediaStore(
        volume=_volume(spec.get("volume", {})),
        s3=_bucket(spec["s3"]) if "s3" in spec else None,
    )


def _bucket(spec: Mapping[str, Any]) -> Bucket:
    credentials = spec.get("credentials", {})
    return Bucket(
        name=spec["bucket"],
        region=spec.get("region"),
        endpoint=spec.get("endpoint"),
        prefix=spec.get("prefix", ""),
        secret_name=credentials.get("secretName"),
        access_key_id_key=credentials.get("accessKeyIdKey", "AWS_ACCESS_KEY_ID"),
        secret_access_key_key=credentials.get("secretAccessKeyKey", "AWS_SECRET_ACCESS_KEY"),
        store_local=spec.get("storeLocal", True),
        store_remote=spec.get("storeRemote", True),
        store_synchronous=spec.get("storeSynchronous", True),
    )


def _ingress(spec: Mapping[str, Any]) -> Ingress:
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


def _authentication(spec: Mapping[str, Any] | None) -> MatrixAuthenticationService | None:
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


def _network(spec: Mapping[str, Any]) -> NetworkAccess:
    return NetworkAccess(
        enabled=spec.get("enabled", True),
        clients_from=tuple(spec.get("clientsFrom", ())),
        metrics_from=tuple(spec.get("metricsFrom", ())),
        egress=tuple(spec.get("egress", ())),
    )
