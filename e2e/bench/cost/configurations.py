"""Configurations of the proxies that are measured. Pure; what they route by is compiled before.

Each proxy does what it would have to do in the same place: it tells servers whom a request is from,
and writes a line for each request or none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HOST = "maple.example"
LOOPBACK = "127.0.0.1"
NGINX = "nginx.ingress.kubernetes.io/"
RUN = "/run/router"


@dataclass(frozen=True)
class Compiled:
    """The route table for each proxy, and the addresses of each class's processes.

    `router` are the files of the router by whether it logs.
    """

    router: Mapping[str, Mapping[str, str]]
    addresses: Mapping[str, str]
    ingresses: Sequence[Any]
    ingress_routes: Sequence[Any]

    def servers(self, service: str) -> list[str]:
        """The addresses behind a Service, without their port; its name ends with its class."""
        route_class = service.split("-", 1)[1]
        return [address for address, found in self.addresses.items() if found == route_class]


def router(files: Mapping[str, str], port: int, directory: str) -> dict[str, str]:
    """The router's files, to listen at a port."""
    config = files["haproxy.cfg"].replace(RUN, directory)
    config = config.replace('"${ROUTER_ADDRESS}:8080"', f"{LOOPBACK}:{port}")
    # Its metrics are nobody's here.
    config = re.sub(r"(?ms)^frontend metrics\n.*?\n\n", "", config)
    return {**files, "haproxy.cfg": config}


def without_routes(
    files: Mapping[str, str], port: int, server: str, directory: str, *, keeping: bool = False
) -> dict[str, str]:
    """HAProxy with the router's settings, and no rule at all.

    `keeping`: connections to servers are kept, as HAProxy does unless told otherwise.
    """
    config = files["haproxy.cfg"].replace(RUN, directory)
    settings = config[: config.index("frontend ")]
    if keeping:
        settings = settings.replace("  option http-server-close\n", "")
    lines = [
        "frontend http",
        f"  bind {LOOPBACK}:{port}",
        "  option httplog",
        "  option forwardfor",
        "  default_backend main",
        "",
        "backend main",
        f"  server s1 {server}",
        "",
    ]
    return {"haproxy.cfg": settings + "\n".join(lines)}


def nginx(compiled: Compiled, port: int, servers: int, *, keeping: bool) -> str:
    """nginx.conf with the locations that ingress-nginx makes of Ingress objects.

    Expressions by falling length, none of which minds case. `keeping`: connections to servers are
    kept, as ingress-nginx does; else there is one for each request, as in the router.
    """
    found = [
        (path["path"], path["backend"]["service"]["name"], ingress["metadata"]["annotations"])
        for ingress in compiled.ingresses
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]
    paths = sorted(found, key=lambda each: -len(each[0]))
    upstreams = {service: annotations for _path, service, annotations in paths}
    return "\n".join(
        [
            "daemon off;",
            "user root;",
            "worker_processes 2;",
            "error_log stderr error;",
            "pid nginx.pid;",
            "events { worker_connections 16384; multi_accept on; }",
            "http {",
            *(f"  {line}" for line in _nginx_http(keeping=keeping)),
            *(
                f"  {line}"
                for service, annotations in upstreams.items()
                for line in _upstream(compiled.servers(service), servers, service, annotations)
            ),
            "  server {",
            f"    listen {LOOPBACK}:{port} reuseport backlog=4096;",
            f"    server_name {HOST};",
            *(f"    {_location(*each)}" for each in paths),
            "  }",
            "}",
            "",
        ]
    )


def _nginx_http(*, keeping: bool) -> Iterator[str]:
    # ingress-nginx's own format, less the names of its objects.
    yield (
        'log_format upstreaminfo \'$remote_addr - $remote_user [$time_local] "$request" $status '
        '$body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time '
        "$upstream_addr $upstream_response_length $upstream_response_time $upstream_status "
        "$request_id';"
    )
    yield "access_log /dev/stdout upstreaminfo;"
    yield "keepalive_timeout 75s;"
    yield "keepalive_requests 1000000;"
    yield "proxy_http_version 1.1;"
    yield "proxy_buffering off;"
    connection = '""' if keeping else "close"
    yield f"proxy_set_header Connection {connection};"
    yield "proxy_set_header Host $http_host;"
    yield "proxy_set_header X-Real-IP $remote_addr;"
    yield "proxy_set_header X-Forwarded-For $remote_addr;"
    yield "proxy_set_header X-Forwarded-Proto $scheme;"


def _upstream(
    addresses: Sequence[str], port: int, service: str, annotations: Mapping[str, str]
) -> Iterator[str]:
    yield f"upstream {service} {{"
    if key := annotations.get(f"{NGINX}upstream-hash-by"):
        yield f"  hash {key} consistent;"
    yield from (f"  server {address}:{port};" for address in addresses)
    yield "  keepalive 320;"
    yield "}"


def _location(path: str, service: str, annotations: Mapping[str, str]) -> str:
    size = annotations[f"{NGINX}proxy-body-size"]
    timeout = annotations[f"{NGINX}proxy-read-timeout"]
    # As a request came: its path is not to be decoded.
    return (
        f'location ~* "^{path}" {{ client_max_body_size {size}; proxy_read_timeout {timeout}s; '
        f"proxy_pass http://{service}; }}"
    )


def traefik(compiled: Compiled, servers: int) -> dict[str, Any]:
    """Traefik's dynamic configuration, of the rules of IngressRoute objects."""
    routers: dict[str, Any] = {}
    services: dict[str, Any] = {}
    for route in compiled.ingress_routes:
        for rule in route["spec"]["routes"]:
            (service,) = (each["name"] for each in rule["services"])
            urls = [{"url": f"http://{each}:{servers}"} for each in compiled.servers(service)]
            services[service] = {"loadBalancer": {"servers": urls}}
            routers[f"r{len(routers)}"] = {
                "rule": rule["match"],
                "priority": rule["priority"],
                "service": service,
                "entryPoints": ["web"],
            }
    return {"http": {"routers": routers, "services": services}}


def responder(port: int) -> str:
    """nginx.conf of the server behind all of them."""
    return "\n".join(
        [
            "daemon off;",
            "user root;",
            "worker_processes 1;",
            "error_log stderr error;",
            "pid nginx.pid;",
            "events { worker_connections 16384; multi_accept on; }",
            "http {",
            "  access_log off;",
            "  keepalive_timeout 75s;",
            "  keepalive_requests 1000000;",
            "  server {",
            f"    listen 0.0.0.0:{port} backlog=4096;",
            "    default_type application/json;",
            "    location / { return 200 '{}'; }",
            "  }",
            "}",
            "",
        ]
    )
