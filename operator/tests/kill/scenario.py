"""What an operator is doing when it dies: a HomeServer's spec before and after."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

EXAMPLE = Path(__file__).parents[3] / "examples" / "homeserver.yaml"

Spec = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """From `before` (None: from nothing) to `after`; `name` fits into a namespace's."""

    name: str
    before: Spec | None
    after: Spec


def _example(*changes: Callable[[Spec], None]) -> Spec:
    spec: Spec = yaml.safe_load(EXAMPLE.read_text())["spec"]
    for change in changes:
        change(spec)
    return spec


def _edit(spec: Spec) -> None:
    """A little of everything: scale, shard, add a duty, an option, another host."""
    groups = {group["name"]: group for group in spec["workers"]}
    groups["sync"]["replicas"] = 3
    groups["persister"]["replicas"] = 2
    spec["workers"].append({"name": "sender", "runs": ["federationSender"]})
    spec["config"]["max_upload_size"] = "20M"
    spec["ingress"]["host"] = "chat.example.org"


def _remove_media(spec: Spec) -> None:
    spec["workers"] = [group for group in spec["workers"] if group["name"] != "media"]


def _autoscale(spec: Spec) -> None:
    """The number of processes changes hands, and none of them may notice."""
    client = next(group for group in spec["workers"] if group["name"] == "client")
    del client["replicas"]
    client["autoscale"] = {"minReplicas": 2, "maxReplicas": 4, "cpuUtilization": 70}


def _route(spec: Spec) -> None:
    """Traffic goes over to a router, which needs rights of its own."""
    spec["router"] = {}


CREATE = Scenario("create", None, _example())
EDIT = Scenario("edit", _example(), _example(_edit))
REMOVE_GROUP = Scenario("remove", _example(), _example(_remove_media))
AUTOSCALE = Scenario("autoscale", _example(), _example(_autoscale))
ROUTER_COMES = Scenario("route", _example(), _example(_route))
ROUTER_GOES = Scenario("unroute", _example(_route), _example())
SCENARIOS = (CREATE, EDIT, REMOVE_GROUP, AUTOSCALE, ROUTER_COMES, ROUTER_GOES)
