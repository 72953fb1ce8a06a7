"""Who may reach whom on which port, as sentences; and that no process is forgotten."""

from dataclasses import replace
from typing import Any

import pytest
from tests.core import case
from tests.core.inventory import objects, of_kind, pod_templates
from tests.core.network import Endpoint, connects

from homeserver_operator.api.names import HOMESERVER_LABEL, PROCESS_LABEL, ROLE_LABEL
from homeserver_operator.api.roles import OUTBOUND_FEDERATION
from homeserver_operator.api.stores import ExternalPostgres, ExternalRedis
from homeserver_operator.api.world import Object
from homeserver_operator.build.network_policies import build_network_policies
from homeserver_operator.topology import Process, Topology

NAMESPACE = "meadow"
INGRESS = Endpoint({"app": "nginx"}, "edge", {"kubernetes.io/metadata.name": "ingress-nginx"})
PROMETHEUS = Endpoint({"app": "prometheus"}, "m", {"kubernetes.io/metadata.name": "monitoring"})
GRAFANA = replace(PROMETHEUS, labels={"app": "grafana"})
NEIGHBOUR = Endpoint({"app": "wiki"}, NAMESPACE)
OTHER_SERVER = Endpoint({HOMESERVER_LABEL: "other", ROLE_LABEL: "worker"}, NAMESPACE)
INTERNET = Endpoint(address="203.0.113.7")
LOAD_BALANCER = Endpoint(address="10.9.1.2")
CLIENTS, REPLICATION, METRICS, PROBES, POSTGRES, REDIS = 8008, 9093, 9000, 8080, 5432, 6379
ROUTER_CLIENTS, ROUTER_METRICS, AGENT = ROUTER_PORTS = 8080, 8405, 8406


def pod(name: str, process: str) -> Endpoint:
    """A pod of a case's homeserver."""
    found = (template["metadata"]["labels"] for _where, template in pod_templates(name))
    return Endpoint(next(x for x in found if x[PROCESS_LABEL] == process), NAMESPACE)


def policies(name: str) -> list[Object]:
    return list(of_kind(name, "NetworkPolicy").values())


CASE = "stream-writers"
MAIN, WRITER, SERVER = pod(CASE, "main"), pod(CASE, "scribe-0"), pod(CASE, "bracken")
SQL, CACHE = pod(CASE, "postgres"), pod(CASE, "redis")

CONNECTIONS: dict[str, tuple[Endpoint, Endpoint, int, bool]] = {
    "anybody reaches the clients' port of main": (INGRESS, MAIN, CLIENTS, True),
    "anybody reaches the clients' port of a worker": (NEIGHBOUR, SERVER, CLIENTS, True),
    "a load balancer reaches the clients' port": (INTERNET, SERVER, CLIENTS, True),
    "workers reach main's replication": (SERVER, MAIN, REPLICATION, True),
    "main reaches a writer's replication": (MAIN, WRITER, REPLICATION, True),
    "an Ingress controller does not reach replication": (INGRESS, MAIN, REPLICATION, False),
    "a neighbour does not reach replication": (NEIGHBOUR, WRITER, REPLICATION, False),
    "another homeserver does not reach replication": (OTHER_SERVER, WRITER, REPLICATION, False),
    "the managed stores do not reach replication": (SQL, MAIN, REPLICATION, False),
    "main reaches PostgreSQL": (MAIN, SQL, POSTGRES, True),
    "workers reach Redis": (SERVER, CACHE, REDIS, True),
    "a neighbour does not reach PostgreSQL": (NEIGHBOUR, SQL, POSTGRES, False),
    "another homeserver does not reach Redis": (OTHER_SERVER, CACHE, REDIS, False),
    "nobody reaches another port of PostgreSQL": (MAIN, SQL, 22, False),
    "anybody reads metrics": (GRAFANA, SERVER, METRICS, True),
    "the operator, wherever it is, asks for a state": (GRAFANA, MAIN, PROBES, True),
    "nobody reaches a port that nothing is known of": (NEIGHBOUR, MAIN, 9999, False),
    "processes reach other servers": (SERVER, INTERNET, 443, True),
}


@pytest.mark.parametrize("sentence", CONNECTIONS)
def test_by_default(sentence: str) -> None:
    source, target, port, allowed = CONNECTIONS[sentence]
    assert connects(policies(CASE), source, target, port) is allowed


NAMED = {
    "the named Ingress controller reaches the clients' port": (INGRESS, CLIENTS, True),
    "a named address reaches the clients' port": (LOAD_BALANCER, CLIENTS, True),
    "others do not reach the clients' port": (NEIGHBOUR, CLIENTS, False),
    "nor does the internet": (INTERNET, CLIENTS, False),
    "the named Prometheus reads metrics": (PROMETHEUS, METRICS, True),
    "its neighbours do not read metrics": (GRAFANA, METRICS, False),
    "the operator still asks for a state": (NEIGHBOUR, PROBES, True),
}


@pytest.mark.parametrize("sentence", NAMED)
def test_with_named_peers(sentence: str) -> None:
    source, port, allowed = NAMED[sentence]
    main = pod("network-peers", "main")
    assert connects(policies("network-peers"), source, main, port) is allowed


@pytest.mark.parametrize("name", case.names())
def test_every_pod_of_ours_is_closed_but_for_its_doors(name: str) -> None:
    """So that a new kind of pod cannot be forgotten."""
    for where, template in pod_templates(name):
        target = Endpoint(template["metadata"]["labels"], NAMESPACE)
        open_to_all = {
            port["containerPort"]
            for container in all_containers(template)
            for port in container.get("ports", ())
            if connects(policies(name), NEIGHBOUR, target, port["containerPort"])
        }
        assert open_to_all <= {CLIENTS, METRICS, PROBES, *ROUTER_PORTS}, where


def all_containers(template: Object) -> list[Object]:
    spec = template["spec"]
    return [*spec["containers"], *spec.get("initContainers", ())]


@pytest.mark.parametrize("name", case.names())
def test_every_connection_that_a_homeserver_needs_is_open(name: str) -> None:
    """From each process to whatever a Service of ours leads to but clients: stores, replication."""
    processes = [
        Endpoint(template["metadata"]["labels"], NAMESPACE)
        for _where, template in pod_templates(name)
    ]
    synapse = [each for each in processes if each.labels[ROLE_LABEL] in {"main", "worker"}]
    for service in of_kind(name, "Service").values():
        if service["metadata"]["labels"]["app.kubernetes.io/component"] in {"client", "router"}:
            continue
        (port,) = service["spec"]["ports"]
        for target in processes:
            if service["spec"]["selector"].items() <= target.labels.items():
                for source in synapse:
                    assert connects(policies(name), source, target, port["port"])


CONTROLLER = INGRESS
ROUTER, BEHIND = pod("router", "router"), pod("router", "brisk")
OTHERS_ROUTER = Endpoint({HOMESERVER_LABEL: "other", ROLE_LABEL: "router"}, NAMESPACE)

ROUTED = {
    "the named Ingress controller reaches the router": (CONTROLLER, ROUTER, ROUTER_CLIENTS, True),
    "a neighbour does not reach the router": (NEIGHBOUR, ROUTER, ROUTER_CLIENTS, False),
    "the router reaches workers": (ROUTER, BEHIND, CLIENTS, True),
    "the router of another homeserver does not": (OTHERS_ROUTER, BEHIND, CLIENTS, False),
    "the router does not reach replication": (ROUTER, BEHIND, REPLICATION, False),
    "the router does not reach PostgreSQL": (ROUTER, pod("router", "postgres"), POSTGRES, False),
    "who may come in reaches workers as before": (CONTROLLER, BEHIND, CLIENTS, True),
    "the named Prometheus reads HAProxy's metrics": (PROMETHEUS, ROUTER, ROUTER_METRICS, True),
    "the named Prometheus reads the agent's metrics": (PROMETHEUS, ROUTER, AGENT, True),
    "a neighbour does not read HAProxy's metrics": (NEIGHBOUR, ROUTER, ROUTER_METRICS, False),
    "a neighbour does not ask the agent": (NEIGHBOUR, ROUTER, AGENT, False),
    "the router reaches the API server, wherever that is": (ROUTER, INTERNET, 6443, True),
}


@pytest.mark.parametrize("sentence", ROUTED)
def test_with_a_router_and_named_peers(sentence: str) -> None:
    source, target, port, allowed = ROUTED[sentence]
    assert connects(policies("router"), source, target, port) is allowed


def test_a_router_that_goes_still_reaches_workers() -> None:
    """What it has in flight is to be answered."""
    loaded = case.load("router")
    spec = {name: value for name, value in loaded.body["spec"].items() if name != "router"}
    built = case.build_all(replace(loaded, body={**loaded.body, "spec": spec}))
    left = [each for each in built.all() if each["kind"] == "NetworkPolicy"]
    assert connects(left, ROUTER, BEHIND, CLIENTS)


def test_none_are_made_if_none_are_wanted() -> None:
    loaded = case.load(CASE)
    spec = {**loaded.body["spec"], "networkPolicy": {"enabled": False}}
    built = case.build_all(replace(loaded, body={**loaded.body, "spec": spec}))
    assert not [each for each in built.all() if each["kind"] == "NetworkPolicy"]


def test_where_no_group_sends_for_all_nobody_is_kept_inside() -> None:
    for name in case.names():
        loaded = case.load(name)
        inside = [p for p in policies(name) if "Egress" in p["spec"]["policyTypes"]]
        assert bool(inside) is bool(loaded.topology.runners.get(OUTBOUND_FEDERATION)), name


GATE = "lichen"
"""The group that, below, alone reaches other servers."""


def gated(name: str, **network: Any) -> list[Object]:
    """The policies of a case in which one group has the duty of outbound federation."""
    loaded = case.load(name)
    topology, server = loaded.topology, loaded.server
    members = {p.name for p in topology.workers if p.group in {GATE, "thistle"}}

    def with_duty(process: Process) -> Process:
        if process.name in members:
            return replace(process, runs=process.runs | {OUTBOUND_FEDERATION})
        return process

    gates: Topology = replace(
        topology,
        processes=tuple(map(with_duty, topology.processes)),
        runners={**topology.runners, OUTBOUND_FEDERATION: tuple(sorted(members))},
    )
    return list(
        build_network_policies(replace(server, network=replace(server.network, **network)), gates)
    )


MEMBER = pod(CASE, f"{GATE}-1")
DNS = Endpoint({"k8s-app": "kube-dns"}, "kube-system")

OUTGOING: dict[str, tuple[Endpoint, Endpoint, int, str, bool]] = {
    "members reach other servers": (MEMBER, INTERNET, 443, "TCP", True),
    "main does not reach other servers": (MAIN, INTERNET, 443, "TCP", False),
    "other workers do not reach other servers": (SERVER, INTERNET, 8448, "TCP", False),
    "other workers resolve names": (SERVER, DNS, 53, "UDP", True),
    "main resolves names over TCP": (MAIN, DNS, 53, "TCP", True),
    "others reach members' replication": (SERVER, MEMBER, REPLICATION, "TCP", True),
    "others reach PostgreSQL": (SERVER, SQL, POSTGRES, "TCP", True),
    "others reach Redis": (MAIN, CACHE, REDIS, "TCP", True),
    "others do not reach their neighbours": (MAIN, NEIGHBOUR, 80, "TCP", False),
}


@pytest.mark.parametrize("sentence", OUTGOING)
def test_where_a_group_reaches_other_servers_for_all(sentence: str) -> None:
    source, target, port, protocol, allowed = OUTGOING[sentence]
    assert connects(gated(CASE), source, target, port, protocol) is allowed


def test_users_say_what_else_is_reached() -> None:
    smtp = {"ports": [{"port": 587, "protocol": "TCP"}]}
    opened = gated(CASE, egress=(smtp,))
    assert connects(opened, MAIN, INTERNET, 587)
    assert not connects(opened, MAIN, INTERNET, 443)


def test_external_stores_are_reached_at_their_ports() -> None:
    main = pod("external-stores", "main")
    server = case.load("external-stores").server
    assert isinstance(server.postgres.server, ExternalPostgres)
    assert isinstance(server.redis, ExternalRedis)
    for port in (server.postgres.server.port, server.redis.port):
        assert connects(gated("external-stores"), main, INTERNET, port)
    assert not connects(gated("external-stores"), main, INTERNET, 443)


def test_an_external_store_with_an_address_is_reached_there_only() -> None:
    loaded = case.load("external-stores")
    spec = loaded.body["spec"]
    body = {**loaded.body, "spec": {**spec, "postgres": {**spec["postgres"], "host": "fd00::7"}}}
    server = replace(loaded, body=body).server
    topology = replace(loaded.topology, runners={OUTBOUND_FEDERATION: ("thistle",)})
    found = list(build_network_policies(server, topology))
    main, port = pod("external-stores", "main"), spec["postgres"]["port"]
    assert connects(found, main, Endpoint(address="fd00::7"), port)
    assert not connects(found, main, Endpoint(address="fd00::8"), port)


def test_policies_are_in_the_inventory() -> None:
    """What is checked for every object is checked for these."""
    kinds = {key.kind for key in objects(CASE)}
    assert {"NetworkPolicy", "PodDisruptionBudget"} <= kinds
    assert "HorizontalPodAutoscaler" in {key.kind for key in objects("autoscaling")}
