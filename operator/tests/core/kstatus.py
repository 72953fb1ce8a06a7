"""How Kubernetes' tools read a resource's status (kstatus, as `kubectl wait` and Helm use it)."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema
import yaml
from tests.core import case


def read(body: Mapping[str, Any]) -> str:
    """Current, InProgress or Failed, by kstatus' generic rules in their order."""
    status = body.get("status", {})
    observed = status.get("observedGeneration")
    if observed is not None and observed != body["metadata"]["generation"]:
        return "InProgress"
    conditions = status.get("conditions", [])
    for condition in conditions:
        if condition["status"] == "True" and condition["type"] == "Reconciling":
            return "InProgress"
        if condition["status"] == "True" and condition["type"] == "Stalled":
            return "Failed"
    ready = [condition for condition in conditions if condition["type"] == "Ready"]
    return "Current" if not ready or ready[0]["status"] == "True" else "InProgress"


@cache
def _schema() -> Any:
    """What the API server holds a status to; it refuses one that does not."""
    crd = yaml.safe_load((case.EXAMPLES.parent / "crds" / "homeservers.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return jsonschema.Draft202012Validator(schema)


def check(body: Mapping[str, Any]) -> None:
    """Assert what every status that we write must hold to."""
    status = body["status"]
    _schema().validate(status)
    by_type = {condition["type"]: condition for condition in status["conditions"]}
    assert len(by_type) == len(status["conditions"])
    assert by_type.keys() >= {"Ready", "Reconciling", "Stalled", "Accepted", "Available"}
    assert status["observedGeneration"] == body["metadata"]["generation"]
    for condition in status["conditions"]:
        assert condition["observedGeneration"] == status["observedGeneration"]
        assert condition["status"] in {"True", "False", "Unknown"}
        assert condition["reason"].isalpha()
        assert condition["reason"][0].isupper()
        assert condition["message"]
        assert condition["lastTransitionTime"]
    true = {kind for kind, condition in by_type.items() if condition["status"] == "True"}
    assert not {"Reconciling", "Stalled"} <= true
    if "Ready" in true:
        assert not {"Reconciling", "Stalled", "Paused"} & true
        assert {"Accepted", "Available"} <= true
    if by_type["Ready"]["status"] == "False":
        explained = by_type["Stalled"] if "Stalled" in true else by_type["Reconciling"]
        assert (explained["status"], explained["reason"]) == ("True", by_type["Ready"]["reason"])
