"""A real Traefik before Services that answer with their names, configured by a real API server.

All on the loopback interface: the API server gives Services addresses of it, at which the answering
sockets listen. Each dialect has a namespace and a host of its own.
"""

import asyncio
import http.client
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.core import dialects
from tests.core.dialects import client_services
from tests.core.requests import Request

from crds.tests.kubectl import Kubectl
from e2e.cluster import addons, crds
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.ports import free_port
from homeserver_operator.api.names import HTTP_PORT
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.world import Key, Object
from homeserver_operator.build.edge import build_edge
from homeserver_operator.routes import Target

SERVICES = "127.50.0.0/20"
LOOPBACK = "127.0.0.1"

PROVIDERS = {
    "ingress-nginx": "kubernetesingressnginx",
    "traefik": "kubernetesingress",
    "traefik-crd": "kubernetescrd",
    "gateway-api": "kubernetesgateway",
}
"""The dialects that Traefik serves."""

INGRESS, GATEWAY = "networking.k8s.io/v1", "gateway.networking.k8s.io/v1"
CLASSES = [
    (INGRESS, "IngressClass", "ingress-nginx", {"controller": "k8s.io/ingress-nginx"}),
    (INGRESS, "IngressClass", "traefik", {"controller": "traefik.io/ingress-controller"}),
    (GATEWAY, "GatewayClass", "traefik", {"controllerName": "traefik.io/gateway-controller"}),
]


@dataclass
class Front:
    """Traefik, asked as clients ask it."""

    port: int
    answered: int = field(default=0)

    def service_of(self, controller: str, request: Request) -> str | None:
        """The Service that answers a request at the host of a dialect, None for a 404."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=10)
        try:
            target = request.path + (f"?{request.query}" if request.query else "")
            connection.request(request.method, target, headers={"Host": host_of(controller)})
            response = connection.getresponse()
            self.answered += 1
            return response.headers["X-Service"] if response.status == 200 else None
        finally:
            connection.close()


def host_of(controller: str) -> str:
    """The host of a dialect."""
    return f"{controller}.{dialects.HOST}"


@contextmanager
def traefik(targets: tuple[Target, ...], directory: Path) -> Iterator[Front]:
    """Traefik with the objects of these targets in each dialect that it serves."""
    # Services' own addresses are all that can be on the loopback interface, endpoints cannot.
    single = tuple(replace(target, single=True) for target in targets)
    with ControlPlane(service_network=SERVICES) as control_plane:
        kubectl = Kubectl(control_plane.kubectl, control_plane.kubeconfig)
        kubectl.run("apply", "--server-side", f"--filename={crds.crds()}")
        for crd in ("ingressroutes.traefik.io", "httproutes.gateway.networking.k8s.io"):
            kubectl.wait_established(crd)
        port = free_port()
        objects = [*_classes(), *_gateway(port)]
        for controller in PROVIDERS:
            objects += _objects(_server(controller), single)
        kubectl.run(
            "apply", "--server-side", "--filename=-", text="\n".join(map(json.dumps, objects))
        )
        services = kubectl.get("services", "--all-namespaces")["items"]
        names = {
            each["spec"]["clusterIP"]: each["metadata"]["name"]
            for each in services
            if each["metadata"]["namespace"] in PROVIDERS
        }
        with _backends(names), _process(control_plane.kubeconfig, port, directory):
            front = Front(port)
            for controller in PROVIDERS:
                _until_served(front, controller, directory)
            yield front


def _server(controller: str) -> HomeServer:
    chosen: dict[str, Any] = (
        {"className": controller} if controller in {"ingress-nginx", "traefik"} else {}
    )
    found = dialects.server(controller, host=host_of(controller), **chosen)
    return replace(found, key=Key(controller, found.key.name))


def _objects(server: HomeServer, targets: tuple[Target, ...]) -> Iterator[Object]:
    namespace = server.key.namespace
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    for service in client_services(server, targets).values():
        if server.ingress.controller == "gateway-api":
            # Of use here alone, where there are no endpoints.
            service["metadata"]["annotations"] = {"traefik.io/service.nativelb": "true"}
        yield service
    yield from build_edge(server, targets)


def _classes() -> Iterator[Object]:
    for api_version, kind, name, spec in CLASSES:
        yield {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _gateway(port: int) -> Iterator[Object]:
    listener = {"name": "web", "protocol": "HTTP", "port": port}
    listener_for_all: dict[str, Any] = {"allowedRoutes": {"namespaces": {"from": "All"}}}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gateway-api"}}
    yield {
        "apiVersion": GATEWAY,
        "kind": "Gateway",
        "metadata": {"name": "outer", "namespace": "gateway-api"},
        "spec": {"gatewayClassName": "traefik", "listeners": [listener | listener_for_all]},
    }


@contextmanager
def _process(kubeconfig: Path, port: int, directory: Path) -> Iterator[None]:
    command: list[str | Path] = [
        addons.traefik(),
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        f"--entrypoints.web.address={LOOPBACK}:{port}",
        "--providers.kubernetesingressnginx.publishstatusaddress=127.0.0.1",
        *(f"--providers.{provider}=true" for provider in PROVIDERS.values()),
        "--log.level=INFO",
    ]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    with (directory / "traefik.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _backends(names: Mapping[str, str]) -> Iterator[None]:
    """Answer at the address of every Service with its name."""
    stop, ready = threading.Event(), threading.Event()
    writers: set[asyncio.StreamWriter] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = names[writer.get_extra_info("sockname")[0]]
        writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                head = f"HTTP/1.1 200 OK\r\nX-Service: {name}\r\nContent-Length: 0\r\n\r\n"
                writer.write(head.encode())
                await writer.drain()
        writers.discard(writer)
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, list(names), HTTP_PORT)
        ready.set()
        await asyncio.to_thread(stop.wait)
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10), "the backends do not listen"
        yield
    finally:
        stop.set()
        thread.join(10)


def _until_served(front: Front, controller: str, directory: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if front.service_of(controller, Request("/_matrix/client/v3/logout", "POST")):
                return
        except OSError:
            pass
        log = (directory / "traefik.log").read_text()
        assert time.monotonic() < deadline, f"{controller} is not served:\n{log[-4000:]}"
        time.sleep(0.1)
