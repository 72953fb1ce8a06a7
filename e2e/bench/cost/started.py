"""Starts every proxy that is measured, before one server that answers for all processes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from e2e.bench.apart import ask_apart
from e2e.bench.cost import configurations
from e2e.bench.cost.configurations import LOOPBACK, Compiled
from e2e.bench.cost.proxies import OTHERS, Proxy, running
from e2e.cluster import addons, haproxy, nginx
from e2e.cluster.ports import free_port

Command = Callable[[Path], list[str | Path]]

ROUTER, PLAIN, KEEPING = (
    "router",
    "HAProxy without routes",
    "HAProxy without routes that keeps connections",
)
NGINX, NGINX_KEEPING = "nginx", "nginx that keeps connections"
TRAEFIK = "Traefik, which keeps connections"
DIRECT = "directly"
SILENT = ", no log"
"""Connections are those to servers, of which the router makes one for each request."""


@contextmanager
def everyone(directory: Path) -> Iterator[tuple[list[Proxy], Proxy]]:
    """All proxies, and the server itself; raises RigError if one does not start."""
    with ExitStack() as stack:
        port = free_port()
        files = {"nginx.conf": configurations.responder(port)}
        server = stack.enter_context(
            running(DIRECT, _nginx_command(), files, directory / "server", port, which=OTHERS)
        )
        found = [
            stack.enter_context(running(name, command, written, directory / slug(name), at))
            for name, command, written, at in _programs(_compiled(port), port, directory)
        ]
        yield found, server


def slug(name: str) -> str:
    """A proxy's name as that of its directory."""
    return name.replace(",", "").replace(" ", "-")


def haproxies() -> dict[str, Path]:
    """HAProxy's programs by version."""
    return {_version(program): program for program in map(haproxy.program, haproxy.names())}


def _programs(
    compiled: Compiled, server: int, directory: Path
) -> Iterator[tuple[str, Command, Mapping[str, str], int]]:
    for version, program in haproxies().items():
        for silent in ("", SILENT):
            files = compiled.router["silent" if silent else "logging"]
            name, port = f"{ROUTER}, {version}{silent}", free_port()
            written = configurations.router(files, port, str(directory / slug(name)))
            yield name, _haproxy_command(program), written, port
            for plain in (PLAIN, *([] if silent else [KEEPING])):
                name, port = f"{plain}, {version}{silent}", free_port()
                written = configurations.without_routes(
                    files,
                    port,
                    f"{LOOPBACK}:{server}",
                    str(directory / slug(name)),
                    keeping=plain == KEEPING,
                )
                yield name, _haproxy_command(program), written, port
    for name in (NGINX, NGINX_KEEPING):
        port, keeping = free_port(), name == NGINX_KEEPING
        written = {"nginx.conf": configurations.nginx(compiled, port, server, keeping=keeping)}
        yield name, _nginx_command(), written, port
    port = free_port()
    written = {"dynamic.yaml": yaml.safe_dump(configurations.traefik(compiled, server))}
    yield TRAEFIK, _traefik_command(port), written, port


def _compiled(port: int) -> Compiled:
    """What the operator makes of the table, in a process that has its sources."""
    return Compiled(**ask_apart("e2e.bench.cost.compiled", str(port), part="operator", seconds=120))


def _version(program: Path) -> str:
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stdout
    return ".".join(said.split()[2].split(".")[:2])


def _haproxy_command(program: Path) -> Command:
    return lambda directory: [program, "-db", "-f", directory / "haproxy.cfg"]


def _nginx_command() -> Command:
    return lambda directory: [nginx.nginx(), "-p", directory, "-c", "nginx.conf"]


def _traefik_command(port: int) -> Command:
    return lambda directory: [
        addons.traefik(),
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        f"--entrypoints.web.address={LOOPBACK}:{port}",
        f"--entrypoints.web.forwardedheaders.trustedips={LOOPBACK}",
        f"--providers.file.filename={directory / 'dynamic.yaml'}",
        "--accesslog=true",
        "--log.level=ERROR",
    ]
