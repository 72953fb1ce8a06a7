"""What is sent to the proxies, what they are told, and what follows from what was measured."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.bench.cost import configurations, load
from e2e.bench.cost.configurations import Compiled
from e2e.bench.cost.costs import AHEAD, AIM, EVERY, Costs, Pair, rows
from e2e.bench.cost.load import KINDS, Sent
from e2e.cluster.progress import RigError

CONFIG = """\
global
  stats socket /run/router/admin.sock mode 600

defaults
  timeout connect 200ms
  option http-server-close

frontend http
  bind "${ROUTER_ADDRESS}:8080"
  http-request set-var(txn.row) path,map_reg(routes.map,main::)
  use_backend %[var(txn.row)]

frontend metrics
  bind "${ROUTER_ADDRESS}:8405"

backend main
  server s1 127.60.1.1:1 id 1
"""
FILES = {"haproxy.cfg": CONFIG, "routes.map": "^/a$ main::\n"}


def _ingress(paths: dict[str, str], **more: str) -> dict[str, Any]:
    annotations = {
        "nginx.ingress.kubernetes.io/proxy-body-size": "50M",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "60",
        **{f"nginx.ingress.kubernetes.io/{name}": value for name, value in more.items()},
    }
    found = [
        {"path": path, "backend": {"service": {"name": service}}} for path, service in paths.items()
    ]
    return {
        "metadata": {"annotations": annotations},
        "spec": {"rules": [{"http": {"paths": found}}]},
    }


COMPILED = Compiled(
    router={"logging": FILES},
    addresses={"127.60.1.1": "main", "127.60.2.1": "sync", "127.60.2.2": "sync"},
    ingresses=[
        _ingress({"/_matrix/.*": "maple-main"}),
        _ingress(
            {"/_matrix/client/v3/sync$": "maple-sync", "/a{1,3}$": "maple-sync"},
            **{"upstream-hash-by": "$http_authorization"},
        ),
    ],
    ingress_routes=[
        {
            "spec": {
                "routes": [
                    {"match": "Path(`/a`)", "priority": 7, "services": [{"name": "maple-sync"}]},
                    {"match": "Path(`/b`)", "priority": 8, "services": [{"name": "maple-sync"}]},
                ]
            }
        }
    ],
)


def test_the_router_listens_alone_and_keeps_its_rules_and_files() -> None:
    written = configurations.router(FILES, 1234, "/x")
    config = written["haproxy.cfg"]
    assert 'bind "' not in config
    assert "bind 127.0.0.1:1234" in config
    assert "frontend metrics" not in config
    assert "map_reg(routes.map,main::)" in config
    assert "server s1 127.60.1.1:1" in config
    assert "stats socket /x/admin.sock" in config
    assert written["routes.map"] == FILES["routes.map"]


@pytest.mark.parametrize("keeping", [False, True])
def test_without_routes_there_is_no_rule_but_the_same_settings(keeping: bool) -> None:
    (config,) = configurations.without_routes(
        FILES, 1234, "127.0.0.1:9", "/x", keeping=keeping
    ).values()  # fmt: skip
    assert "http-request" not in config
    assert "timeout connect 200ms" in config
    assert ("option http-server-close" in config) != keeping
    assert "default_backend main" in config
    assert "server s1 127.0.0.1:9" in config


def test_nginx_tries_expressions_by_falling_length_and_in_their_quotes() -> None:
    config = configurations.nginx(COMPILED, 1234, 9, keeping=True)
    found = [line.split('"')[1] for line in config.splitlines() if "location" in line]
    assert found == ["^/_matrix/client/v3/sync$", "^/_matrix/.*", "^/a{1,3}$"]


def test_nginx_has_the_servers_of_each_class_and_hashes_as_it_is_told() -> None:
    config = configurations.nginx(COMPILED, 1234, 9, keeping=True)
    sync, main = config.split("upstream ")[1:]
    assert "hash" not in main
    assert "server 127.60.1.1:9;" in main
    assert "hash $http_authorization consistent;" in sync
    assert "server 127.60.2.1:9;" in sync
    assert "server 127.60.2.2:9;" in sync


@pytest.mark.parametrize("keeping", [False, True])
def test_nginx_keeps_connections_only_if_it_is_to(keeping: bool) -> None:
    config = configurations.nginx(COMPILED, 1234, 9, keeping=keeping)
    assert ('proxy_set_header Connection "";' in config) == keeping
    assert ("proxy_set_header Connection close;" in config) != keeping


def test_traefik_has_every_rule_with_its_priority_and_servers() -> None:
    http = configurations.traefik(COMPILED, 9)["http"]
    assert [(each["rule"], each["priority"]) for each in http["routers"].values()] == [
        ("Path(`/a`)", 7),
        ("Path(`/b`)", 8),
    ]
    servers = http["services"]["maple-sync"]["loadBalancer"]["servers"]
    assert [each["url"] for each in servers] == ["http://127.60.2.1:9", "http://127.60.2.2:9"]


def test_the_length_of_a_body_is_what_is_sent() -> None:
    for kind in KINDS:
        assert "@number@" not in kind.body
        if kind.method != "GET":
            assert f"Content-Length: {len(kind.body)}\r\n" in load.script([kind]).replace(
                "\\r\\n", "\r\n"
            )


def test_what_wrk_saw_is_read() -> None:
    said = json.dumps({"requests": 7, "median": 250, "p99": 900, "errors": 0})
    assert load.read(f"Running 1s test\n{said}\n") == Sent(7, 250, 900)


def test_a_measurement_in_which_requests_fail_is_none() -> None:
    said = {"requests": 7, "median": 1, "p99": 1, "errors": 1}
    with pytest.raises(RigError):
        load.read(json.dumps(said))


def _costs() -> Costs:
    return Costs(
        processor={
            ("router", "sync"): [30.0, 60.0],
            ("router", "send"): [50.0, 80.0],
            ("plain", "sync"): [20.0, 50.0],
            ("plain", "send"): [40.0, 50.0],
        },
        median={"directly": [10.0, 20.0], "router": [15.0, 40.0]},
        p99={"directly": [100.0, 200.0], "router": [150.0, 260.0]},
        memory={"router": 20.0},
    )


def test_what_is_compared_was_measured_in_one_round() -> None:
    costs, pair = _costs(), Pair("router", "plain", AIM)
    assert costs.percent(pair, "sync") == [150.0, 120.0]
    assert costs.percent(pair, EVERY) == pytest.approx([100 * 40 / 30, 140])


def test_every_row_says_of_what_and_what_is_promised() -> None:
    pairs = [Pair("router", "plain", AHEAD)]
    found = list(rows(_costs(), kinds=["sync", "send"], pairs=pairs, direct="directly"))
    said = {each.what: (list(each.values), each.unit, each.aim) for each in found}
    assert said["sync: processor, router"] == ([150.0, 120.0], "% of plain", AHEAD)
    assert said["send: processor per request, router"] == ([50.0, 80.0], "µs", None)
    assert said["all kinds: added latency, median, router"] == ([5.0, 20.0], "µs", None)
    assert said["all kinds: added latency, 99 %, router"] == ([50.0, 60.0], "µs", None)
    assert said["resident at the end, router"] == ([20.0], "MiB", None)
    assert not any("directly" in what for what in said)
