"""How long the core thinks, as a program of its own: `python -m e2e.bench.planning RUNS MANY`.

Prints seconds as JSON, by name. It needs the operator's sources and its tests' on the path: the
settled worlds come from the tests' cluster in memory, which fills in what an API server fills in.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from typing import Any

from tests.core.case import DEFAULTS
from tests.core.scenario import NOW, Scenario

from homeserver_operator.api.world import World
from homeserver_operator.pipeline import decide

Body = dict[str, Any]
Known = tuple[Body, World]
"""A HomeServer, and the cluster as it is observed."""

WORLDS = 20
"""Different homeservers among the many; each is decided on as often as it takes."""

SIXTY: list[dict[str, Any]] = [
    {"name": "persister", "replicas": 8, "writes": ["events"]},
    {"name": "receipts", "replicas": 4, "writes": ["receipts"]},
    {"name": "devices", "replicas": 4, "writes": ["deviceLists"]},
    {"name": "typing", "writes": ["typing"]},
    {"name": "to-device", "writes": ["toDevice"]},
    {"name": "account-data", "writes": ["accountData"]},
    {"name": "presence", "writes": ["presence"]},
    {"name": "push-rules", "writes": ["pushRules"]},
    {"name": "sender", "replicas": 16, "runs": ["federationSender"]},
    {"name": "pusher", "replicas": 8, "runs": ["pusher"]},
    {"name": "background", "runs": ["backgroundTasks"]},
    {"name": "directory", "serves": ["userDirectory"], "runs": ["userDirectory"]},
    {"name": "appservices", "runs": ["appservices"]},
    {"name": "media", "replicas": 3, "serves": ["media"], "runs": ["mediaBackgroundJobs"]},
    {"name": "sync", "replicas": 8, "serves": ["sync"]},
    {"name": "initial", "replicas": 2, "serves": ["initialSync"]},
    {"name": "client", "replicas": 4, "serves": ["client"]},
    {"name": "rooms", "replicas": 4, "serves": ["eventSending"]},
    {"name": "encryption", "replicas": 2, "serves": ["encryption"]},
    {"name": "pagination", "replicas": 2, "serves": ["pagination"]},
    {"name": "login", "replicas": 2, "serves": ["login"]},
    {"name": "federation", "replicas": 4, "serves": ["federation"]},
]
"""A large server's: 59 workers with a Deployment each, besides main."""

TWELVE: list[dict[str, Any]] = [
    {"name": "sync", "replicas": 3, "serves": ["sync", "initialSync"]},
    {"name": "client", "replicas": 2, "serves": ["client", "login", "encryption"]},
    {"name": "rooms", "replicas": 2, "serves": ["eventSending", "pagination"]},
    {"name": "federation", "replicas": 2, "serves": ["federation", "federationInbound"]},
    {"name": "persister", "replicas": 2, "writes": ["events"]},
    {"name": "ephemeral", "writes": ["typing", "toDevice", "receipts", "presence"]},
    {"name": "sender", "replicas": 2, "runs": ["federationSender"]},
    {"name": "pusher", "runs": ["pusher"]},
    {"name": "media", "serves": ["media"], "runs": ["mediaBackgroundJobs"]},
]


def homeserver(name: str, workers: list[dict[str, Any]]) -> Body:
    """A HomeServer as the API server would hand it out."""
    return {
        "apiVersion": "homeserver-operator.io/v1alpha1",
        "kind": "HomeServer",
        "metadata": {"name": name, "namespace": "bench", "uid": f"{name}-uid", "generation": 1},
        "spec": {
            "serverName": f"{name}.example",
            "workers": [{"replicas": 1, **group} for group in workers],
            "mediaStore": {"volume": {"accessMode": "ReadWriteMany"}},
            "config": {
                "max_upload_size": "100M",
                "rc_message": {"per_second": 5, "burst_count": 9},
            },
        },
    }


def fresh(body: Body) -> Known:
    """With its Secrets, and nothing else yet."""
    scenario = Scenario(body=body)
    scenario.step()
    references = scenario.cluster.world.references
    return body, World(references=references)


def settled(body: Body) -> Known:
    """With everything as it should be."""
    scenario = Scenario(body=body).converge()
    return scenario.body, scenario.cluster.world


def timed(known: Iterable[Known]) -> float:
    """Processor time for a decision on each, in seconds: what else runs here plays no part."""
    started = time.process_time()
    for body, world in known:
        if decide(body, world, DEFAULTS, NOW).findings.rejected:
            raise AssertionError(body["metadata"]["name"])
    return time.process_time() - started


def main() -> None:
    """Measure everything."""
    runs, count = int(sys.argv[1]), int(sys.argv[2])
    large = homeserver("large", SIXTY)
    bodies = [homeserver(f"usual-{number}", TWELVE) for number in range(WORLDS)]
    measured: dict[str, list[float]] = {}
    for name, prepare in (("fresh", fresh), ("settled", settled)):
        one = prepare(large)
        measured[f"large, {name}"] = [timed([one]) for _ in range(10 * runs)]
        many = [prepare(body) for body in bodies] * (count // WORLDS)
        measured[f"many, {name}"] = [timed(many) for _ in range(runs)]
    json.dump(measured, sys.stdout)


if __name__ == "__main__":
    main()
