"""One route table as the operator compiles it for each proxy: `python -m e2e.bench.cost.compiled`.

Prints JSON. It needs the operator's sources and its tests' on the path: slots are filled as tests
with real HAProxy fill them. Argument: the port at which servers answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from tests.core.case import Case, as_stored
from tests.router.rig import filled

from homeserver_operator.build.edge import build_edge
from homeserver_operator.render.router import render_router
from homeserver_operator.routes import targets

PROCESSES = 2
"""Of each class, where there can be several."""


def main() -> None:
    """Print everything."""
    port = int(sys.argv[1])
    logging, addresses = _router(port, access_log=True)
    silent, _ = _router(port, access_log=False)
    print(
        json.dumps(
            {
                "router": {"logging": logging, "silent": silent},
                "addresses": addresses,
                "ingresses": _edge("ingress-nginx"),
                "ingress_routes": _edge("traefik-crd"),
            }
        )
    )


def _case(**spec: Any) -> Case:
    body = yaml.safe_load((Path(__file__).parent / "homeserver.yaml").read_text())
    return Case("cost", as_stored({**body, "spec": body["spec"] | spec}), {})


def _router(port: int, *, access_log: bool) -> tuple[dict[str, str], dict[str, str]]:
    found = _case(router={"accessLog": access_log})
    everyone = targets(found.valid, found.topology)
    files = render_router(found.valid, found.topology, everyone)
    config, addresses = filled(files["haproxy.cfg"], port, lambda _backend: PROCESSES)
    return {**files, "haproxy.cfg": config}, addresses


def _edge(controller: str) -> list[Any]:
    ingress = {"adminApi": True, "controller": controller}
    found = _case(ingress=ingress)
    return list(build_edge(found.server, targets(found.valid, found.topology)))


if __name__ == "__main__":
    main()
