"""NetworkPolicies: who may connect to which pods, one small object for each concern.

Policies add up, so all pods are closed first and each concern opens one door. Nothing here depends
on addresses or namespaces that the operator does not know.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from homeserver_operator.api.names import (
    HOMESERVER_LABEL,
    HTTP_PORT,
    METRICS_PORT,
    PROBE_PORT,
    REPLICATION_PORT,
    ROLE_LABEL,
    ROUTER,
    ROUTER_AGENT_PORT,
    ROUTER_METRICS_PORT,
    ROUTER_PORT,
    WORKER_GROUP_LABEL,
)
from homeserver_operator.api.roles import OUTBOUND_FEDERATION
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.stores import ExternalPostgres, ExternalRedis
from homeserver_operator.api.world import Object
from homeserver_operator.build.meta import object_meta
from homeserver_operator.build.stores import PORTS, managed
from homeserver_operator.topology import Topology

Rule = dict[str, Any]

_COMPONENT: Final = "network-policy"
_SYNAPSE: Final = {"key": ROLE_LABEL, "operator": "In", "values": ["main", "worker"]}


@dataclass(frozen=True)
class Outward:
    """Ways out of the homeserver's own pods.

    `groups` reach other servers, for all of them. `stores` are hosts and ports outside.
    `anywhere`: everybody has to reach other servers.
    """

    groups: frozenset[str]
    stores: tuple[tuple[str, int], ...]
    anywhere: bool = False


def build_network_policies(server: HomeServer, topology: Topology) -> Iterator[dict[str, Any]]:
    """All policies of a homeserver; none if it wants none."""
    network = server.network
    if not network.enabled:
        return
    everybody, synapse = _pods(server), _pods(server, _SYNAPSE)
    yield _ingress(server, "closed", everybody, [])
    # The router among them, wanted or not: one that goes has still requests to pass on. And so has
    # a process that goes.
    passing_on = (_pods(server, role=ROUTER), synapse)
    peers = [*network.clients_from, *({"podSelector": pods} for pods in passing_on)]
    clients = _from(peers if network.clients_from else [], HTTP_PORT)
    yield _ingress(server, "clients", synapse, [clients])
    if server.router:
        yield from _router(server)
    replication = _from([{"podSelector": synapse}], REPLICATION_PORT)
    yield _ingress(server, "replication", synapse, [replication])
    # The probe port is also where the operator, wherever it runs, asks for a process's state.
    monitoring = [_from(network.metrics_from, METRICS_PORT), _from([], PROBE_PORT)]
    yield _ingress(server, "monitoring", synapse, monitoring)
    for store in managed(server):
        yield build_door(server, store)
    if topology.runners.get(OUTBOUND_FEDERATION):
        yield build_egress(server, outward(server, topology))


def build_door(server: HomeServer, store: str) -> dict[str, Any]:
    """Who reaches a managed store."""
    inside = _from([{"podSelector": _pods(server, _SYNAPSE)}], PORTS[store])
    return _ingress(server, store, _pods(server, role=store), [inside])


def outward(server: HomeServer, topology: Topology) -> Outward:
    """The ways out that are wanted."""
    return Outward(
        frozenset(p.group for p in topology.processes if OUTBOUND_FEDERATION in p.runs),
        tuple(
            (store.host, store.port)
            for store in (server.postgres.server, server.redis)
            if isinstance(store, ExternalPostgres | ExternalRedis)
        ),
    )


def _router(server: HomeServer) -> Iterator[dict[str, Any]]:
    """Who reaches the router; where it connects to is not narrowed.

    Nobody can say here what the address of the API server is, which its agent asks.
    """
    network, pods = server.network, _pods(server, role=ROUTER)
    clients = _from(network.clients_from, ROUTER_PORT)
    yield _ingress(server, "router", pods, [clients], component=ROUTER)
    ports = (ROUTER_METRICS_PORT, ROUTER_AGENT_PORT)
    monitoring = [_from(network.metrics_from, port) for port in ports]
    yield _ingress(server, "router-monitoring", pods, monitoring, component=ROUTER)


def build_egress(server: HomeServer, ways: Outward) -> dict[str, Any]:
    """Where processes may connect to that do not reach other servers themselves."""
    others = {"key": WORKER_GROUP_LABEL, "operator": "NotIn", "values": sorted(ways.groups)}
    dns = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    own = {"to": [{"podSelector": _pods(server)}]}
    stores = ({"ports": [_tcp(port)], **_address(host)} for host, port in ways.stores)
    rules = [dns, own, *stores, *server.network.egress, *([{}] if ways.anywhere else [])]
    return _policy(
        server,
        "egress",
        {"podSelector": _pods(server, _SYNAPSE, others), "policyTypes": ["Egress"],
         "egress": rules},
    )  # fmt: skip


def is_egress(policy: Object) -> bool:
    """Whether an object is the policy that limits where processes connect to."""
    types = policy.get("spec", {}).get("policyTypes") or ()
    return policy["kind"] == "NetworkPolicy" and "Egress" in types


def _address(host: str) -> Rule:
    """A policy cannot name a host; only an address narrows the rule."""
    try:
        address = ip_address(host)
    except ValueError:
        return {}
    return {"to": [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}]}


def _from(peers: Sequence[Mapping[str, Any]], port: int) -> Rule:
    """Let peers in at one port; without any, everybody."""
    return {"ports": [_tcp(port)]} | ({"from": list(peers)} if peers else {})


def _tcp(port: int) -> Rule:
    return {"port": port, "protocol": "TCP"}


def _pods(server: HomeServer, *expressions: Rule, role: str | None = None) -> Rule:
    labels = {HOMESERVER_LABEL: server.key.name} | ({ROLE_LABEL: role} if role else {})
    return {"matchLabels": labels} | (
        {"matchExpressions": list(expressions)} if expressions else {}
    )


def _ingress(
    server: HomeServer, name: str, pods: Rule, rules: list[Rule], *, component: str = _COMPONENT
) -> dict[str, Any]:
    spec = {"podSelector": pods, "policyTypes": ["Ingress"]} | ({"ingress": rules} if rules else {})
    return _policy(server, name, spec, component)


def _policy(
    server: HomeServer, name: str, spec: Rule, component: str = _COMPONENT
) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": object_meta(server, f"{server.key.name}-{name}", component=component),
        "spec": spec,
    }
