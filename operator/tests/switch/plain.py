"""The smallest operator that keeps the contract of a switch: what the simulator is tried with.

It knows neither routes nor stores. `Habits` can be broken one by one; then the oracle must object.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.switch.deployments import template_of
from tests.switch.fences import digest
from tests.switch.objects import controller_uid
from tests.switch.operator import Thought
from tests.switch.oracle import FENCES_ANNOTATION, TOPOLOGY_EPOCH_LABEL
from tests.switch.replicasets import is_leaving

from homeserver_operator.api.actions import Apply, Delete
from homeserver_operator.api.names import (
    API_VERSION,
    HOMESERVER_LABEL,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PROCESS_LABEL,
    REVISION_LABEL,
    ROLE_LABEL,
)
from homeserver_operator.api.world import Object, ObjectKey, World
from homeserver_operator.plan.difference import first_difference, stamp
from homeserver_operator.plan.mounted import mounted_content

NAME = "elm"


@dataclass(frozen=True)
class Habits:
    """What a good operator does; each False one must be found out."""

    raises_epochs: bool = True
    notes_what_an_epoch_means: bool = True
    waits_until_all_are_warm: bool = True
    flips_first: bool = True
    heeds_what_is_recorded: bool = True
    reuses_live_epochs: bool = True
    names_replication_by_epoch: bool = True
    restarts_only_whom_it_concerns: bool = True
    looks_again: bool = True


@dataclass(frozen=True)
class Scale:
    """A write through the scale subresource."""

    key: ObjectKey
    uid: str
    version: str
    replicas: int
    reason: str
    stopped_from: int | None = None


def homeserver(**spec: Any) -> dict[str, Any]:
    metadata = {"name": NAME, "namespace": "meadow", "uid": "elm-uid", "generation": 1}
    usual = {"image": "one", "writers": ["persister-0"], "senders": [], "pushers": [],
             "background": "main", "readers": {"sync": 2}, "levels": {}}  # fmt: skip
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": usual | spec}


@dataclass(frozen=True)
class Plain:
    """Decides for a HomeServer of `homeserver`."""

    habits: Habits = Habits()

    def think(self, body: Object, world: World, _now: datetime) -> Thought:
        return _Look(body, world, self.habits).thought()


class _Look:
    def __init__(self, body: Object, world: World, habits: Habits) -> None:
        self.spec, self.world, self.habits = body["spec"], world, habits
        self.owner = {"apiVersion": API_VERSION, "kind": KIND, "name": NAME, "controller": True,
                      "uid": body["metadata"]["uid"]}  # fmt: skip
        self.contents = {name: digest(value) for name, value in self._contents().items()}
        self.epochs = {name: self._epoch(name, value) for name, value in self.contents.items()}
        self.sizes = self._sizes()

    def _contents(self) -> dict[str, Any]:
        spec = self.spec
        return {
            "topology": [spec["writers"], spec["image"]],
            "federation": spec["senders"],
            "push": spec["pushers"],
            "backgroundTasks": spec["background"],
        }

    def _sizes(self) -> dict[str, int]:
        spec = self.spec
        single = ["main", *spec["writers"], *spec["senders"], *spec["pushers"], spec["background"]]
        readers = {
            process: self._live_size(process) if size is None else size
            for process, size in spec["readers"].items()
        }
        return dict.fromkeys(single, 1) | readers

    def _live_size(self, process: str) -> int:
        """What somebody else has made of a group's size."""
        live = self.world.children.get(ObjectKey("Deployment", f"{NAME}-{process}"))
        return int(live["spec"]["replicas"]) if live else 1

    def _epoch(self, fence: str, content: str) -> int:
        if not (self.habits.raises_epochs and self.habits.notes_what_an_epoch_means):
            return 1
        known = {
            (each[fence]["epoch"], each[fence]["content"]) for each in self._seen() if fence in each
        }
        recorded = 0
        if self.habits.heeds_what_is_recorded:
            answers = [state["recorded"].get(fence, 0) for state in self.world.states.values()]
            recorded = max(answers, default=0)
        usable = [epoch for epoch, its in known if its == content and epoch >= recorded]
        highest = max([recorded, *(epoch for epoch, _its in known)])
        if not self.habits.reuses_live_epochs:
            usable = [epoch for epoch in usable if epoch == highest]
        return int(max(usable, default=highest + 1))

    def _seen(self) -> Iterator[Mapping[str, Any]]:
        deployments = self.world.of_kind("Deployment").values()
        templates = [item["spec"]["template"] for item in (*deployments, *self.world.replica_sets)]
        for item in (*templates, *self.world.of_kind("Pod").values()):
            text = item["metadata"].get("annotations", {}).get(FENCES_ANNOTATION)
            if text:
                yield json.loads(text)

    # What is wanted.

    def _fences(self, process: str) -> list[str]:
        spec = self.spec
        has = {
            "federation": process in spec["senders"],
            "push": process in spec["pushers"],
            "backgroundTasks": process == spec["background"],
        }
        return ["topology", *(name for name, yes in has.items() if yes or process == "main")]

    def _meta(self, name: str, **labels: str) -> dict[str, Any]:
        ours = {HOMESERVER_LABEL: NAME, MANAGED_BY_LABEL: MANAGED_BY, **labels}
        return {
            "name": name,
            "namespace": "meadow",
            "labels": ours,
            "ownerReferences": [self.owner],
        }

    def _replication(self, process: str) -> str:
        epoch = self.epochs["topology"] if self.habits.names_replication_by_epoch else 1
        return f"{NAME}-{process}-e{epoch}"

    def _config_map(self, process: str) -> dict[str, Any]:
        spec, fences = self.spec, self._fences(process)
        called = ["main", *spec["writers"]]
        settings = {
            "stream_writers": {"events": spec["writers"]},
            "instance_map": {name: {"host": self._replication(name)} for name in called},
            "level": spec["levels"].get(process, "INFO"),
        }
        if not self.habits.restarts_only_whom_it_concerns:
            settings["all"] = spec["senders"]
        if "federation" in fences and spec["senders"]:
            settings["federation_sender_instances"] = spec["senders"]
        if "push" in fences and spec["pushers"]:
            settings["pusher_instances"] = spec["pushers"]
        if "backgroundTasks" in fences and spec["background"] != "main":
            settings["run_background_tasks_on"] = spec["background"]
        launcher = {
            "name": None if process in spec["readers"] else process,
            "role": "main" if process == "main" else "worker",
            "fences": {name: self.epochs[name] for name in fences},
            "fence_contents": (
                {name: self.contents[name] for name in fences}
                if self.habits.notes_what_an_epoch_means
                else {}
            ),
        }
        data = {"launcher.yaml": json.dumps(launcher), "homeserver.yaml": json.dumps(settings)}
        meta = self._meta(f"{NAME}-{process}-{digest(data)}")
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}

    def _deployment(self, process: str, config_map: str) -> dict[str, Any]:
        role = "main" if process == "main" else "worker"
        fences = {
            name: {"epoch": self.epochs[name], "content": self.contents[name]}
            for name in self._fences(process)
        }
        labels = {
            **self._meta("", **{PROCESS_LABEL: process, ROLE_LABEL: role})["labels"],
            TOPOLOGY_EPOCH_LABEL: str(self.epochs["topology"]),
        }
        template: dict[str, Any] = {
            "metadata": {
                "labels": labels,
                "annotations": {FENCES_ANNOTATION: json.dumps(fences, sort_keys=True)},
            },
            "spec": {
                "serviceAccountName": NAME,
                "containers": [{"name": "synapse", "image": self.spec["image"]}],
                "volumes": [{"name": "config", "configMap": {"name": config_map}}],
            },
        }
        template["metadata"]["labels"] = {**labels, REVISION_LABEL: digest(template)}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self._meta(
                f"{NAME}-{process}", **{PROCESS_LABEL: process, ROLE_LABEL: role}
            ),
            "spec": {
                **({"replicas": self.sizes[process]} if self._sized(process) else {}),
                "selector": {"matchLabels": {PROCESS_LABEL: process}},
                "template": template,
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0},
                },
                "revisionHistoryLimit": 2,
            },
        }

    def _sized(self, process: str) -> bool:
        return self.spec["readers"].get(process, 1) is not None

    def _service(self, name: str, selector: Mapping[str, str], *, publish: bool) -> dict[str, Any]:
        spec: dict[str, Any] = {"selector": selector, "ports": [{"port": 80}]}
        if publish:
            spec["publishNotReadyAddresses"] = True
        return {"apiVersion": "v1", "kind": "Service", "metadata": self._meta(name), "spec": spec}

    # What is done.

    def thought(self) -> Thought:
        maps = {process: self._config_map(process) for process in self.sizes}
        deployments = {
            process: self._deployment(process, item["metadata"]["name"])
            for process, item in maps.items()
        }
        clients, replication = self._services(deployments)
        wanted = [*maps.values(), *replication, *deployments.values()]
        steps: list[Any] = [*self._differing(wanted), *self._missing(clients)]
        settled = False
        if not steps and (self._all_warm(deployments) or not self.habits.waits_until_all_are_warm):
            flips = list(self._differing(clients))
            lets_go = list(self._letting_go(deployments))
            steps = [*flips, *lets_go] if self.habits.flips_first else [*lets_go, *flips]
            if not steps:
                steps = list(self._unwanted([*wanted, *clients]))
                settled = not steps and self._settled(deployments)
        again = None if settled or not self.habits.looks_again else 5.0
        return Thought((), None, tuple(steps), again)

    def _services(self, deployments: Mapping[str, Object]) -> tuple[list[Object], list[Object]]:
        clients: list[Object] = []
        replication: list[Object] = []
        epoch = str(self.epochs["topology"])
        for process, item in deployments.items():
            revision = item["spec"]["template"]["metadata"]["labels"][REVISION_LABEL]
            mine = {PROCESS_LABEL: process}
            if process in self.spec["readers"]:
                selector = {**mine, TOPOLOGY_EPOCH_LABEL: epoch}
                clients.append(self._service(f"{NAME}-{process}", selector, publish=False))
                continue
            mine[REVISION_LABEL] = revision
            clients.append(self._service(f"{NAME}-{process}", mine, publish=True))
            if process in {"main", *self.spec["writers"]}:
                replication.append(self._service(self._replication(process), mine, publish=True))
        return clients, replication

    def _differing(self, wanted: Iterable[Object]) -> Iterator[Apply]:
        for item in wanted:
            stamped = stamp(item)
            live = self._live(item)
            if live is None:
                yield Apply(stamped, None, "missing")
            elif where := first_difference(stamped, live):
                yield Apply(stamped, live["metadata"]["uid"], where)

    def _missing(self, wanted: Iterable[Object]) -> Iterator[Apply]:
        yield from self._differing(item for item in wanted if self._live(item) is None)

    def _live(self, item: Object) -> Object | None:
        return self.world.children.get(ObjectKey(item["kind"], item["metadata"]["name"]))

    def _current(self, deployment: Object) -> str | None:
        """The uid of the ReplicaSet that a live Deployment is about.

        Its template decides, not our label: somebody may have restarted it by hand.
        """
        live = self._live(deployment)
        for item in self.world.replica_sets:
            if live and template_of(item) == live["spec"]["template"]:
                return str(item["metadata"]["uid"])
        return None

    def _pods(self, deployment: Object, *, condition: str) -> int:
        current = self._current(deployment)
        return sum(
            1
            for pod in self.world.of_kind("Pod").values()
            if controller_uid(pod) == current
            and not is_leaving(pod)
            and any(item.get(condition) for item in pod["status"].get("containerStatuses", ()))
        )

    def _all_warm(self, deployments: Mapping[str, Object]) -> bool:
        return all(
            self._pods(item, condition="started") >= self.sizes[process]
            for process, item in deployments.items()
        )

    def _settled(self, deployments: Mapping[str, Object]) -> bool:
        return all(
            self._pods(item, condition="ready") >= self.sizes[process]
            for process, item in deployments.items()
        )

    def _letting_go(self, deployments: Mapping[str, Object]) -> Iterator[Scale]:
        for item in self.world.replica_sets:
            labels = item["metadata"]["labels"]
            wanted = deployments.get(labels[PROCESS_LABEL])
            if wanted is None or not item["spec"]["replicas"]:
                continue
            now = wanted["spec"]["template"]["metadata"]["labels"]
            if item["metadata"]["uid"] == self._current(wanted):
                continue
            moved = labels[TOPOLOGY_EPOCH_LABEL] != now[TOPOLOGY_EPOCH_LABEL]
            if moved or labels[PROCESS_LABEL] not in self.spec["readers"]:
                yield _to_zero(item)
        for item in self.world.of_kind("Deployment").values():
            process = item["metadata"]["labels"][PROCESS_LABEL]
            if process not in deployments and item["spec"]["replicas"]:
                yield _to_zero(item)

    def _unwanted(self, wanted: Iterable[Object]) -> Iterator[Delete]:
        epoch = str(self.epochs["topology"])
        pods = self.world.of_kind("Pod").values()
        keep = {ObjectKey(item["kind"], item["metadata"]["name"]) for item in wanted}
        keep |= mounted_content(self.world)
        mixed = any(pod["metadata"]["labels"].get(TOPOLOGY_EPOCH_LABEL) != epoch for pod in pods)
        for key, item in self.world.children.items():
            if key in keep or key.kind == "Pod" or (key.kind == "Service" and mixed):
                continue
            process = item["metadata"]["labels"].get(PROCESS_LABEL)
            if key.kind == "Deployment" and any(
                pod["metadata"]["labels"][PROCESS_LABEL] == process for pod in pods
            ):
                continue
            yield Delete(key, item["metadata"]["uid"], "no longer wanted")


def _to_zero(item: Object) -> Scale:
    metadata = item["metadata"]
    key = ObjectKey(item["kind"], metadata["name"])
    return Scale(key, metadata["uid"], metadata["resourceVersion"], 0, "all are warm")
