"""Objects without what differs between two runs of the same: to be compared as equal or not.

Left out are what the API server makes up, times, epochs, values (not keys) of Secrets, and hashes
of these. A content-named object is renamed by its content, so that who mounts what is compared.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from homeserver_operator.api import names
from homeserver_operator.api.world import Object

_MADE_UP = frozenset(
    {
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "time",
        "lastTransitionTime",
        "clusterIP",
        "clusterIPs",
        # Hashes over the secrets' random names, and over the HomeServer's uid.
        names.APPLIED_ANNOTATION,
        f"f:{names.APPLIED_ANNOTATION}",
        names.REVISION_LABEL,
        names.SERVED_ANNOTATION,
        f"f:{names.SERVED_ANNOTATION}",
        names.MAIN_REVISION_ANNOTATION,
        names.TEMPLATE_HASH_LABEL,
        names.EPOCH_LABEL,
        names.FENCES_ANNOTATION,
        "epochs",
        "startedAt",
        "finishedAt",
        "seconds",
    }
)
_EPOCH_NAME = re.compile(r"-e[0-9]+\b")
_EPOCHS = re.compile(r"fences:\n(?:  \w+: [0-9]+\n)+")
_CONTENTS = re.compile(r"fence_contents:\n(?:  \w+: \S+\n)+")
"""One of them is of the replication secret, which is another one in each story."""
_CONTENT_NAME = re.compile(r"-[0-9a-f]{10}$")


def base_name(name: str) -> str:
    """The name without the hash of the content, if it has one."""
    return _CONTENT_NAME.sub("", name)


def is_content_named(item: Object) -> bool:
    """Whether it is an immutable object that is named by its content."""
    return bool(_CONTENT_NAME.search(item["metadata"]["name"]))


def canonical(objects: Iterable[Object], namespace: str) -> dict[str, str]:
    """Each object as JSON text by kind and name; pods of Deployments only as a count."""
    objects = list(objects)
    server = next(item for item in objects if item["kind"] == names.KIND)
    replaced = {namespace: "NAMESPACE", server["metadata"]["uid"]: "UID"}
    pods = [item for item in objects if item["kind"] == "Pod"]
    rest = [item for item in objects if item["kind"] != "Pod"]
    rest.sort(key=lambda item: str(item["metadata"]["name"]))
    for item in filter(is_content_named, rest):
        name = item["metadata"]["name"]
        text = _text(item, {**replaced, name: "NAME"})
        replaced[name] = f"{base_name(name)}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    found = {
        f"{item['kind']}/{_without_epoch(replaced.get(name, name))}": _text(item, replaced)
        for item in rest
        for name in [item["metadata"]["name"]]
    }
    counts = Counter(pod["metadata"]["labels"][names.PROCESS_LABEL] for pod in pods)
    return found | {"pods": json.dumps(counts, indent=1, sort_keys=True)}


def _text(item: Object, replaced: Mapping[str, str]) -> str:
    text = json.dumps(_masked(item), indent=1, sort_keys=True)
    for old, new in replaced.items():
        text = text.replace(old, new)
    return _without_epoch(text)


def _without_epoch(text: str) -> str:
    return _EPOCH_NAME.sub("-eN", text)


def _masked(item: Object) -> dict[str, Any]:
    masked: dict[str, Any] = _without_made_up(item)
    fields = masked["metadata"].get("managedFields", [])
    managers = {names.FIELD_MANAGER, names.SCALE_MANAGER}
    ours = [entry for entry in fields if entry["manager"] in managers]
    masked["metadata"]["managedFields"] = ours
    match item["kind"]:
        case "Secret":
            masked["data"] = dict.fromkeys(item.get("data", {}))
        case "Deployment":
            counted = ("replicas", "readyReplicas", "updatedReplicas")
            masked["status"] = {name: item["status"].get(name) for name in counted}
        case "HorizontalPodAutoscaler" | "PodDisruptionBudget":
            # What Kubernetes' controllers count and measure by the way.
            masked.pop("status", None)
        case "ConfigMap":
            files = item.get("data", {}).items()
            masked["data"] = {name: _without_fences(text) for name, text in files}
    return masked


def _without_fences(text: str) -> str:
    return _CONTENTS.sub("fence_contents: N\n", _EPOCHS.sub("fences: N\n", text))


def _without_made_up(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {k: _without_made_up(v) for k, v in node.items() if k not in _MADE_UP}
    if isinstance(node, list):
        return [_without_made_up(item) for item in node]
    return node
