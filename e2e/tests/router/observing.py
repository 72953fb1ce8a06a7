"""People use the homeserver while things are done to it one after the other; what came of it.

Two of them talk in a room of their own, as clients that try again; the others ask everything else
at about half of what the machine was seen to sustain just before, and never ask twice.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from e2e.cluster.progress import say
from e2e.product.abroad import abroad
from e2e.product.accounts import misheard, unacknowledged
from e2e.product.load import calm_down, quiet, ramp, usual
from e2e.product.matrix import User
from e2e.product.mix import EVERY_KIND, POLLS
from e2e.product.people import meet
from e2e.product.phases import Phase, wrongly_kept
from e2e.product.talk import Talkers, history
from e2e.product.traffic import Outcome, Traffic
from e2e.product.undergoing import aftermath, undergo
from e2e.tests.router.steps import Step
from e2e.tests.router.topology import Routed

USERS = 3
SHOWN = 20
TOKENS: Final = re.compile(r"sy[tlr]_\w+_\w+")


@dataclass
class Observed:
    """Everything that went wrong, in words, and what each phase was like."""

    wrongs: list[str] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)


async def observe(
    routed: Routed, steps: Sequence[Step], *, ramp_seconds: float, quiet_seconds: float
) -> Observed:
    """Take all steps while people use the homeserver; prints what each is like."""
    seen = Observed()
    async with AsyncExitStack() as stack:
        users = [await stack.enter_async_context(routed.person("user")) for _ in range(USERS)]
        room = await meet(users)
        speaker = await stack.enter_async_context(routed.person("speaker"))
        listener = await stack.enter_async_context(routed.person("listener"))
        talked = await meet([speaker, listener])
        talkers = Talkers((speaker,), (listener,), (talked,))
        talking = asyncio.create_task(talkers.run())
        other = await stack.enter_async_context(abroad(routed.server))
        traffic = Traffic(users, room, EVERY_KIND, POLLS, other=other)
        try:
            async with traffic.flow(1.0):
                await calm_down(traffic, {})
                await ramp(traffic, seconds=ramp_seconds)
                await calm_down(traffic, {})
                since = time.monotonic()
                usually = usual(await quiet(traffic, quiet_seconds, [*EVERY_KIND, *POLLS]))
                try:
                    for step in steps:
                        await _take(step, routed, traffic, usually, seen)
                finally:
                    talkers.stop()
        finally:
            talkers.stop()
            await talking
        failed = [o for o in traffic.outcomes if o.failed and o.began + o.seconds > since]
        seen.wrongs += [_words(outcome, seen.phases) for outcome in failed]
        kept = [heard.text for heard in await history(users[0], room)]
        seen.wrongs += [f"in the room: {text}" for text in wrongly_kept(traffic.acknowledged, kept)]
        seen.wrongs += await _misheard(talkers, listener, talked)
    seen.wrongs += await asyncio.to_thread(_tokens_told, routed)
    return seen


async def _take(
    step: Step, routed: Routed, traffic: Traffic, usually: dict[str, float], seen: Observed
) -> None:
    began = datetime.now(UTC).isoformat(timespec="seconds")
    span = await undergo(lambda: step.act(routed))
    phase = Phase(step.title, span.until - span.since, await aftermath(span, traffic, usually))
    seen.phases.append(phase)
    say(f"  {phase.told(usually)}")
    if phase.failed:
        for line in await asyncio.to_thread(_complaints, routed, began):
            say(f"    {line}")


def _complaints(routed: Routed, since: str) -> list[str]:
    """What the routers logged of requests that did not end well."""
    found = [
        f"{pod}: {access.line}"
        for pod, accesses in routed.router.access(since).items()
        for access in accesses
        if not 200 <= access.status < 400 or access.ended != "--"
    ]
    return found[-SHOWN:]


def _words(outcome: Outcome, phases: Sequence[Phase]) -> str:
    titles = [phase.title for phase in phases if outcome in phase.failed]
    return (
        f"{outcome.kind} after {outcome.seconds:.1f} s: {outcome.status} {outcome.problem} "
        f"({', '.join(titles) or 'between the steps'})"
    )


async def _misheard(talkers: Talkers, listener: User, room: str) -> list[str]:
    messages, ear = talkers.messages, talkers.listeners[listener.id]
    return [
        *(f"failed once: {m.text}: {m.failures}" for m in messages if m.failures),
        *(f"never acknowledged: {text}" for text in unacknowledged(messages)),
        *(f"heard: {text}" for text in misheard(messages, ear.heard)),
        *(f"a failed /sync: {failure}" for failure in ear.failures),
        *(f"in the room: {text}" for text in misheard(messages, await history(listener, room))),
    ]


def _tokens_told(routed: Routed) -> list[str]:
    """Lines of the router's logs that hold what looks like a token."""
    return [
        f"a token in the log of {pod}'s {container}: {TOKENS.sub('…', line)}"
        for container in ("haproxy", "agent")
        for pod, lines in routed.router.logs(container).items()
        for line in lines
        if TOKENS.search(line)
    ]
