"""Whether a live object already says what we want, so that nothing is applied in vain.

A desired object sets only the fields that we own; the API server and other managers fill in more.
So the question is whether every field that we set holds in the live object. What we no longer set
shows in the hash of the desired object, which each object carries as an annotation.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from homeserver_operator.api.canonical import digest
from homeserver_operator.api.names import APPLIED_ANNOTATION, REVISION_LABEL
from homeserver_operator.api.quantities import quantity
from homeserver_operator.api.world import Object, Rewrite

_MERGE_KEYS: Final = ("name", "uid", "mountPath", "containerPort")
"""Keys by which server-side apply merges the lists that we write; other lists are atomic."""

_ATOMIC_MAPS: Final = frozenset(
    {"selector", "nodeSelector", "podSelector", "namespaceSelector", "labelSelector", "matchLabels"}
)
"""Mappings that have one owner as a whole: a key of somebody else's in them is drift."""

_QUANTITIES: Final = frozenset({"requests", "limits", "target"})
"""Mappings with quantities, which come back in other words; `target` is that of a metric."""


def stamp(manifest: Object) -> Object:
    """The object with the hash of itself, which tells a change of mind from drift."""
    metadata = manifest["metadata"]
    text = digest(_summed_up(manifest))
    annotations = {**metadata.get("annotations", {}), APPLIED_ANNOTATION: text}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _summed_up(manifest: Object) -> Object:
    """The object with the revision of a pod template, its hash, in place of the template.

    A template that is read back from what lives comes in the API server's words.
    """
    if "template" not in manifest.get("spec", {}):
        return manifest
    revision = manifest["spec"]["template"]["metadata"]["labels"][REVISION_LABEL]
    return {**manifest, "spec": {**manifest["spec"], "template": revision}}


def stamped_alike(stamped: Object, live: Object) -> bool:
    """Whether the live object was last applied from the same manifest."""
    ours = stamped["metadata"]["annotations"][APPLIED_ANNOTATION]
    theirs = live["metadata"].get("annotations", {}).get(APPLIED_ANNOTATION)
    return bool(ours == theirs)


def first_difference(desired: Any, live: Any) -> str | None:
    """The path of the first field that is not as desired, None if all are."""
    return next((path for path, _ in _differences(desired, live, "")), None)


def rewrite_of(applied: Object, answer: Object) -> Rewrite | None:
    """What the API server made otherwise of an object that was applied, if anything."""
    fields = {path: digest(value) for path, value in _differences(applied, answer, "")}
    return Rewrite(digest(applied), fields) if fields else None


Differences = Iterator[tuple[str, Any]]
"""Paths of fields that are not as desired, with the live values."""


def _differences(desired: Any, live: Any, path: str) -> Differences:
    # Both are JSON, of which to ask for these types takes a third of the time of their protocols.
    if isinstance(desired, dict):
        yield from _in_mapping(desired, live, path)
    elif isinstance(desired, (list, tuple)):
        yield from _in_list(desired, live, path)
    elif desired != live:
        yield path, live


def _in_mapping(desired: dict[str, Any], live: Any, path: str) -> Differences:
    if not isinstance(live, dict):
        # An empty mapping of ours may come back as nothing.
        if desired or live is not None:
            yield path, live
        return
    field = path.rpartition(".")[2]
    if field in _ATOMIC_MAPS and _filled(desired) != _filled(live):
        yield path, live
        return
    quantities = field in _QUANTITIES
    for key, value in desired.items():
        theirs = live.get(key)
        # Most of it is alike, and the interpreter compares whole trees many times faster.
        if value == theirs or (quantities and key in live and _same_quantity(value, theirs)):
            continue
        yield from _differences(value, theirs, f"{path}.{key}" if path else key)


def _filled(mapping: Mapping[str, Any]) -> set[str]:
    """Its keys, without those that may come back as nothing."""
    return {key for key, value in mapping.items() if value not in (None, {}, [])}


def _in_list(desired: Sequence[Any], live: Any, path: str) -> Differences:
    if not isinstance(live, (list, tuple)):
        if desired or live is not None:
            yield path, live
        return
    if key := _merge_key(desired):
        by_key = {item.get(key): item for item in live if isinstance(item, Mapping)}
        for item in desired:
            yield from _differences(item, by_key.get(item[key]), f"{path}[{item[key]}]")
        return
    if len(desired) != len(live):
        yield path, live
        return
    for index, (ours, theirs) in enumerate(zip(desired, live, strict=True)):
        yield from _differences(ours, theirs, f"{path}[{index}]")


def _merge_key(desired: Sequence[Any]) -> str | None:
    if not desired or not all(isinstance(item, Mapping) for item in desired):
        return None
    return next((key for key in _MERGE_KEYS if all(key in item for item in desired)), None)


def _same_quantity(ours: Any, theirs: Any) -> bool:
    size = quantity(ours)
    return size is not None and size == quantity(theirs)
