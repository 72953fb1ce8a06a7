"""Rules over Services, Ingresses and ports that hold for every case, each stated once."""

import pytest
from tests.core import case
from tests.core.inventory import homeserver_yaml, listeners, of_kind, selected

from homeserver_operator.api.names import (
    HTTP_PORT,
    REPLICATION_PORT,
    ROLE_LABEL,
    ROUTER,
    ROUTER_PORT,
)
from homeserver_operator.api.world import Object

every_case = pytest.mark.parametrize("name", case.names())


@every_case
def test_selectors_select_and_named_ports_exist(name: str) -> None:
    for where, found in of_kind(name, "Deployment").items():
        labels = found["spec"]["template"]["metadata"]["labels"]
        assert found["spec"]["selector"]["matchLabels"].items() <= labels.items(), where
        for container in found["spec"]["template"]["spec"]["containers"]:
            ports = {port["name"] for port in container["ports"]}
            for probe in (v for field, v in container.items() if field.endswith("Probe")):
                for check in ("httpGet", "tcpSocket"):
                    assert probe.get(check, {}).get("port") in ports | {None}, where
    for where, service in of_kind(name, "Service").items():
        behind = selected(name, service)
        assert behind, f"Service {where} selects nothing"
        (port,) = service["spec"]["ports"]
        for deployment in behind:
            template = of_kind(name, "Deployment")[deployment]["spec"]["template"]
            open_ports = template["spec"]["containers"][0]["ports"]
            assert port["targetPort"] in {p["name"] for p in open_ports}, (where, deployment)


@every_case
def test_no_deployment_selects_the_pods_of_another(name: str) -> None:
    deployments = of_kind(name, "Deployment")
    for where, found in deployments.items():
        wanted = found["spec"]["selector"]["matchLabels"].items()
        matching = [
            other
            for other, candidate in deployments.items()
            if wanted <= candidate["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert matching == [where]


@every_case
def test_traffic_is_led_to_clients_ports_only(name: str) -> None:
    services = of_kind(name, "Service")
    for manifest in case.manifests(name).edge:
        for backend, number in backends(manifest):
            if backend not in services:
                assert (backend, number) == somebody_elses(name)
                continue
            service = services[backend]
            (port,) = service["spec"]["ports"]
            of_router = service["metadata"]["labels"].get(ROLE_LABEL) == ROUTER
            assert port["port"] == number == (ROUTER_PORT if of_router else HTTP_PORT)
            assert port["targetPort"] == "http"
            assert selected(name, service)


def somebody_elses(name: str) -> tuple[str, int] | None:
    authentication = case.load(name).server.authentication
    service = authentication.service if authentication else None
    return (service.name, service.port) if service else None


def backends(manifest: Object) -> list[tuple[str, int]]:
    spec = manifest["spec"]
    if manifest["kind"] == "Ingress":
        paths = [path for rule in spec["rules"] for path in rule["http"]["paths"]]
        services = [path["backend"]["service"] for path in paths]
        return [(service["name"], service["port"]["number"]) for service in services]
    if manifest["kind"] == "IngressRoute":
        services = [service for route in spec["routes"] for service in route["services"]]
    else:
        services = [service for rule in spec["rules"] for service in rule["backendRefs"]]
    return [(service["name"], service["port"]) for service in services]


@every_case
def test_the_instance_map_leads_to_exactly_the_process_that_it_names(name: str) -> None:
    built, topology = case.manifests(name), case.load(name).topology
    services = of_kind(name, "Service")
    by_process = {process.instance: process for process in topology.processes}
    for process in topology.processes:
        settings = homeserver_yaml(name, process.name)
        for called, address in settings["instance_map"].items():
            instance = "master" if called == "main" else called
            service = services[address["host"]]
            (port,) = service["spec"]["ports"]
            assert port["port"] == address["port"] == REPLICATION_PORT
            assert service["spec"]["publishNotReadyAddresses"] is True
            target = built.synapse[by_process[instance].name]["metadata"]["name"]
            assert selected(name, service) == [target]
            listens = homeserver_yaml(name, by_process[instance].name)
            ports = [listener["port"] for listener in listeners(listens)]
            assert REPLICATION_PORT in ports, instance
        writers = {w for names in settings.get("stream_writers", {}).values() for w in names}
        assert writers <= settings["instance_map"].keys()
