"""What people are told of fields that others have added to pod templates, or write otherwise.

Server-side apply repairs what we have written and leaves the rest, so fields that were added stay,
and nothing that the operator knows of a process accounts for them. What an admission webhook makes
of an apply stays as well.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from homeserver_operator.api.names import FIELD_MANAGER, SCALE_MANAGER
from homeserver_operator.api.words import listed
from homeserver_operator.api.world import Object, World
from homeserver_operator.plan.owned import fields_of_template, is_ours, record_of
from homeserver_operator.plan.records import NOBODY
from homeserver_operator.plan.writes import Rewritten
from homeserver_operator.status.conditions import FIELDS_REWRITTEN, FOREIGN_FIELDS, Condition

_MOST: Final = 8

_WELCOME: Final = frozenset({"metadata.annotations[kubectl.kubernetes.io/restartedAt]"})
"""`kubectl rollout restart` leaves it, and that is what it is for."""

_MAPS: Final = frozenset({"annotations", "labels", "nodeSelector"})
"""Whose keys are people's, and may hold dots."""


def foreign_fields(world: World) -> Condition | None:
    """Name the fields, their Deployments and who wrote them; None if there are none."""
    found = [
        f"{name}: {path} (by {manager})"
        for name, live in sorted(world.of_kind("Deployment").items())
        for manager, path in _foreign(live)
    ]
    if not found:
        return None
    text = (
        f"others have added to pod templates: {listed(found, _MOST)}. These fields stay "
        "and count for nothing here: say it in the HomeServer instead, and remove them from the "
        "Deployment"
    )
    return Condition(FOREIGN_FIELDS, True, "OthersWrite", text)


def rewritten_fields(rewritten: Iterable[Rewritten]) -> Condition | None:
    """Name the objects and fields that become others whenever they are applied; None without."""
    found = [
        f"{each.key.kind} {each.key.name}: {path}" for each in rewritten for path in each.fields
    ]
    if not found:
        return None
    text = (
        "an admission webhook, or something like it, makes other values of what is applied: "
        f"{listed(found, _MOST)}. They stay and count as done, and are tried again each "
        "hour: say in the HomeServer what is to be there, or exempt these objects"
    )
    return Condition(FIELDS_REWRITTEN, True, "AdmissionRewrites", text)


def _foreign(deployment: Object) -> Iterator[tuple[str, str]]:
    """Managers and the paths, within the template, of what they alone have written."""
    record = record_of(deployment)
    ours: Mapping[str, Any] = next(
        (fields_of_template(entry) for entry in record if is_ours(entry)), {}
    )
    for entry in record:
        if entry["manager"] in {FIELD_MANAGER, SCALE_MANAGER, NOBODY}:
            continue
        for path in _beside(fields_of_template(entry), ours, ""):
            if path not in _WELCOME:
                yield entry["manager"], path


def _beside(fields: Mapping[str, Any], ours: Mapping[str, Any], path: str) -> Iterator[str]:
    """Paths of the set of fields that are not in ours; of what is all theirs, its root alone."""
    for name, inner in fields.items():
        if name == ".":
            continue
        here = _join(path, name)
        if name in ours:
            yield from _beside(inner, ours[name], here)
        elif inner and "." not in inner:
            # A way to what they have written, which they have not written themselves.
            yield from _beside(inner, {}, here)
        else:
            yield here


def _join(path: str, name: str) -> str:
    """The path as `kubectl explain` would have it, with items of lists by their keys."""
    kind, _, text = name.partition(":")
    if kind == "f" and path.rpartition(".")[2] not in _MAPS:
        return f"{path}.{text}" if path else text
    return f"{path}[{_item(kind, text)}]"


def _item(kind: str, text: str) -> str:
    if kind != "k":
        return text
    keys = json.loads(text)
    return ",".join(str(value) for value in keys.values())
