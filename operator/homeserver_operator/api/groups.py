"""Main and the worker groups, as the spec has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Scheduling:
    """What a pod asks of its node; each value goes into the pod template as it is.

    `topology_spread_constraints` None leaves the choice to the operator.
    """

    resources: Mapping[str, Any] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    affinity: Mapping[str, Any] = field(default_factory=dict)
    topology_spread_constraints: tuple[Mapping[str, Any], ...] | None = None
    priority_class_name: str = ""


@dataclass(frozen=True)
class ProcessOptions:
    """What main and every worker group can say about their own processes."""

    scheduling: Scheduling = Scheduling()
    log_level: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Autoscale:
    """Bounds and targets of an autoscaler; metrics and behavior go into its object as they are."""

    max_replicas: int
    min_replicas: int = 1
    cpu_utilization: int | None = None
    memory_utilization: int | None = None
    metrics: tuple[Mapping[str, Any], ...] = ()
    behavior: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkerGroup:
    """n workers of one shape. `replicas` None: one at first, afterwards whoever scales decides.

    With `appservices` it serves only their requests.
    """

    name: str
    replicas: int | None = None
    autoscale: Autoscale | None = None
    serves: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    appservices: frozenset[str] = frozenset()
    options: ProcessOptions = ProcessOptions()


def parse_scheduling(spec: Mapping[str, Any]) -> Scheduling:
    """What pods of any kind ask of their nodes."""
    spread = spec.get("topologySpreadConstraints")
    return Scheduling(
        resources=spec.get("resources", {}),
        node_selector=spec.get("nodeSelector", {}),
        tolerations=tuple(spec.get("tolerations", ())),
        affinity=spec.get("affinity", {}),
        topology_spread_constraints=None if spread is None else tuple(spread),
        priority_class_name=spec.get("priorityClassName", ""),
    )


def parse_options(spec: Mapping[str, Any]) -> ProcessOptions:
    """What main and each group can say of their processes."""
    return ProcessOptions(
        scheduling=parse_scheduling(spec),
        log_level=spec.get("logLevel"),
        config=spec.get("config", {}),
    )


def parse_group(spec: Mapping[str, Any]) -> WorkerGroup:
    """One item of spec.workers."""
    return WorkerGroup(
        name=spec["name"],
        replicas=spec.get("replicas"),
        autoscale=_autoscale(spec["autoscale"]) if "autoscale" in spec else None,
        serves=frozenset(spec.get("serves", ())),
        writes=frozenset(spec.get("writes", ())),
        runs=frozenset(spec.get("runs", ())),
        appservices=frozenset(spec.get("appservices", ())),
        options=parse_options(spec),
    )


def _autoscale(spec: Mapping[str, Any]) -> Autoscale:
    return Autoscale(
        max_replicas=spec["maxReplicas"],
        min_replicas=spec.get("minReplicas", 1),
        cpu_utilization=spec.get("cpuUtilization"),
        memory_utilization=spec.get("memoryUtilization"),
        metrics=tuple(spec.get("metrics", ())),
        behavior=spec.get("behavior", {}),
    )
