"""What we have written of a live pod template, by server-side apply's record (managedFields).

For applying again what is there, without taking over what others and the API server have added.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from homeserver_operator.api.names import FIELD_MANAGER
from homeserver_operator.api.world import Object


def owned_template(deployment: Object) -> Object:
    """The pod template of a live Deployment as we applied it; all of it if no record says so."""
    template: Object = deployment["spec"]["template"]
    for entry in record_of(deployment):
        if is_ours(entry) and (fields := fields_of_template(entry)):
            found: Object = _owned(template, fields)
            return found
    return template


def record_of(deployment: Object) -> tuple[Mapping[str, Any], ...]:
    """Who owns which fields, an entry for each manager and way of writing."""
    return tuple(deployment["metadata"].get("managedFields") or ())


def is_ours(entry: Mapping[str, Any]) -> bool:
    """Whether an entry says what we apply."""
    applied = entry.get("operation") == "Apply" and not entry.get("subresource")
    return bool(applied and entry["manager"] == FIELD_MANAGER)


def fields_of_template(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of the pod template that an entry speaks of."""
    fields = entry.get("fieldsV1", {}).get("f:spec", {}).get("f:template", {})
    return fields if isinstance(fields, Mapping) else {}


def _owned(live: Any, fields: Mapping[str, Any]) -> Any:
    """The part of a value; without parts of its own it is owned as a whole, as a leaf or atom."""
    inner = {path: below for path, below in fields.items() if path != "."}
    if isinstance(live, Mapping) and (inner or "." in fields):
        names = {path.removeprefix("f:"): below for path, below in inner.items()}
        return {name: _owned(live[name], below) for name, below in names.items() if name in live}
    if isinstance(live, Sequence) and not isinstance(live, str) and inner:
        return [
            _owned(item, below)
            for item in live
            for path, below in inner.items()
            if _is_at(item, path)
        ]
    return live


def _is_at(item: Any, path: str) -> bool:
    """Whether a list's item is that of a path: `k:` with its keys, or `v:` with its value."""
    kind, _, text = path.partition(":")
    told = json.loads(text)
    if kind == "k":
        return isinstance(item, Mapping) and all(item.get(key) == told[key] for key in told)
    return bool(kind == "v" and item == told)
