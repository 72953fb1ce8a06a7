"""The haproxy.cfg of a careful administrator without an operator: ordinary health checks.

It routes by the same words as the operator does, and leaves at HAProxy's default what can be left
there. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from e2e.product.kube import Object
from e2e.product.routes import CLASSES, MAIN

PORT: Final = 8080
SYNAPSE_PORT: Final = 8008

_HEAD: Final = """\
global
  log stdout format raw local0 notice

defaults
  mode http
  log global
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  # The last of three retries, which are the default, may go to another server.
  option redispatch
  option httpchk GET /health
  default-server check inter 2s resolvers cluster init-addr none

resolvers cluster
  parse-resolv-conf
"""


def leads(spec: Object) -> dict[str, str]:
    """Which worker group answers each kind of request; the others are main's."""
    kinds = {kind for kind, _ in CLASSES}
    return {
        claim: group["name"]
        for group in spec["workers"]
        for claim in (*group.get("serves", ()), *group.get("writes", ()))
        if claim in kinds
    }


def members(spec: Object) -> dict[str, int]:
    """Who is asked, and how many pods that has."""
    asked = {*leads(spec).values()}
    numbers = {group["name"]: group.get("replicas", 1) for group in spec["workers"]}
    return {MAIN: 1} | {name: number for name, number in numbers.items() if name in asked}


def configuration(spec: Object, suffix: str) -> str:
    """The whole file; the name of a group with `suffix` behind it resolves to its pods."""
    lines = [*_frontend(leads(spec))]
    for name, number in members(spec).items():
        # A successor may come before its predecessor goes.
        server = f"server-template {name}- {2 * number} {name}{suffix}:{SYNAPSE_PORT}"
        lines += ["", f"backend {name}", f"  {server}"]
    return "\n".join((_HEAD, *lines, ""))


def _frontend(led: dict[str, str]) -> Iterator[str]:
    yield "frontend http"
    yield f"  bind :{PORT}"
    for kind, pattern in CLASSES:
        yield f"  use_backend {led.get(kind, MAIN)} if {{ path_reg ^({pattern})$ }}"
    yield f"  default_backend {MAIN}"
