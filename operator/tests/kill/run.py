"""Plays one scenario, with or without a death in it, and holds what came of it against a reference.

The rules: the same end state; nobody beside whom it must wait for; no Service that once led to
somebody and then to nobody; nothing made twice; nothing deleted that the reference keeps; data
and secrets of before the death still there; nothing ever mounted that does not exist.
"""

import difflib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tests.kill.canonical import base_name, canonical, is_content_named
from tests.kill.mortal import Death, Write
from tests.kill.scenario import Scenario
from tests.kill.stage import Stage

from homeserver_operator.api import names
from homeserver_operator.api.world import Object
from homeserver_operator.transport import Transport

_numbers = itertools.count()


@dataclass(frozen=True)
class Outcome:
    """What came of one run.

    `survivors` counts the pods that were there before the change, by process; `precious` is the
    identity of what cannot be made anew.
    """

    writes: tuple[Write, ...]
    died: bool
    end: Mapping[str, str]
    survivors: Mapping[str, int]
    precious: Mapping[str, str]
    precious_at_death: Mapping[str, str]
    dangling: tuple[str, ...]
    overlaps: frozenset[str]
    deserted: frozenset[str]


async def play(transport: Transport, scenario: Scenario, death: Death | None = None) -> Outcome:
    """Play the scenario in a namespace of its own; after a death, a new operator goes on."""
    stage = Stage(transport, f"kill-{scenario.name}-{next(_numbers):04d}")
    await stage.open()
    old_pods: dict[str, str] = {}
    if scenario.before is not None:
        await stage.submit(scenario.before)
        await stage.operate()
        old_pods = _pods(await stage.objects())
    await stage.submit(scenario.after)
    writes, died = await stage.operate(death)
    precious = _precious(await stage.objects())
    if died:
        more, _ = await stage.operate()
        writes += more
    objects = await stage.objects()
    await stage.close()
    return Outcome(
        writes=tuple(writes),
        died=died,
        end=canonical(objects, stage.namespace),
        survivors=Counter(
            process for uid, process in _pods(objects).items() if old_pods.get(uid) == process
        ),
        precious=_precious(objects),
        precious_at_death=precious,
        dangling=tuple(stage.dangling),
        overlaps=frozenset(stage.overlaps),
        # What the change takes away leads to nobody in the end.
        deserted=frozenset(stage.deserted & _services(objects)),
    )


def violations(outcome: Outcome, reference: Outcome) -> Iterator[str]:
    """Every rule that the outcome breaks."""
    if outcome.dangling:
        yield f"mounted, but not there: {', '.join(outcome.dangling)}"
    if outcome.overlaps:
        yield f"ran at the same time: {', '.join(sorted(outcome.overlaps))}"
    if outcome.deserted:
        yield f"led to nobody: {', '.join(sorted(outcome.deserted))}"
    for key in sorted(outcome.end.keys() | reference.end.keys()):
        if outcome.end.get(key) != reference.end.get(key):
            yield f"{key} is not as without a death:\n{_difference(key, reference, outcome)}"
    if outcome.survivors != reference.survivors:
        yield f"pods of {outcome.survivors} lived on, without a death {reference.survivors}"
    for key, identity in outcome.precious_at_death.items():
        if outcome.precious.get(key) != identity:
            yield f"{key} was replaced or changed"
    for key, uids in _uids(outcome.writes).items():
        if len(uids) > 1:
            yield f"{key} was made {len(uids)} times"
    if extra := _deletions(outcome.writes) - _deletions(reference.writes):
        yield f"deleted beyond the reference: {dict(extra)}"


def _pods(objects: Iterable[Object]) -> dict[str, str]:
    """The process of each pod, by uid."""
    return {
        item["metadata"]["uid"]: item["metadata"]["labels"][names.PROCESS_LABEL]
        for item in objects
        if item["kind"] == "Pod"
    }


def _services(objects: Iterable[Object]) -> set[str]:
    return {item["metadata"]["name"] for item in objects if item["kind"] == "Service"}


def _precious(objects: Iterable[Object]) -> dict[str, str]:
    """Identity and content of what cannot be made anew: generated Secrets and volumes."""
    found = {}
    for item in objects:
        generated = item["kind"] == "Secret" and not is_content_named(item)
        if generated or item["kind"] == "PersistentVolumeClaim":
            metadata = item["metadata"]
            found[f"{item['kind']}/{metadata['name']}"] = f"{metadata['uid']} {item.get('data')}"
    return found


def _uids(writes: Iterable[Write]) -> dict[str, set[str]]:
    """The uids under which each object was written; an event is news and has no identity."""
    found: dict[str, set[str]] = {}
    for write in writes:
        if write.kind not in {"Event", names.KIND} and write.method != "DELETE":
            found.setdefault(f"{write.kind}/{write.name}", set()).add(write.uid)
    return found


def _deletions(writes: Iterable[Write]) -> Counter[str]:
    return Counter(
        f"{write.kind}/{base_name(write.name)}" for write in writes if write.method == "DELETE"
    )


def _difference(key: str, reference: Outcome, outcome: Outcome) -> str:
    before, after = reference.end.get(key, ""), outcome.end.get(key, "")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    return "\n".join(itertools.islice(lines, 2, 30))
