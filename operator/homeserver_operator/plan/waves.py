"""Which processes restart together, and in which order.

All holders of a fence whose epoch rises switch at once. Everything else restarts in waves, callers
before those whom they call, and never both in one. A wave starts when the one before is over, so
that what goes wrong goes wrong for few.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from homeserver_operator.api.names import MAIN
from homeserver_operator.fences import Fences
from homeserver_operator.plan.rollout import Rollout
from homeserver_operator.topology import Topology


@dataclass(frozen=True)
class Switch:
    """An epoch switch: the fences that change, and everybody who holds one, before or after.

    `risen` are those of which an earlier epoch is held. The others go back from a later one.
    """

    fences: frozenset[str]
    risen: frozenset[str]
    members: tuple[str, ...]


def find_switch(rollouts: Mapping[str, Rollout], fences: Fences) -> Switch | None:
    """The switch that is due: some fence is held, or to be held, at an epoch that is not wanted.

    Not for those who only wait at a later epoch, because an edit was taken back, while main is to
    live at the one that is wanted: it holds every fence that changes, and is let go with the first.
    """
    held = {process: frozenset(_epochs(rollout, fences)) for process, rollout in rollouts.items()}
    found = frozenset[tuple[str, int]]().union(*held.values())
    wanted = {fence: mark.epoch for fence, mark in fences.marks.items()}
    risen = frozenset(fence for fence, epoch in found if epoch < wanted[fence])
    later = {fence for fence, epoch in found if epoch > wanted[fence]}
    changing = risen | {fence for fence in later if (fence, wanted[fence]) not in held[MAIN]}
    if not changing:
        return None
    return Switch(
        fences=changing,
        risen=risen,
        members=tuple(
            process
            for process, rollout in rollouts.items()
            if any(fence in changing and epoch != wanted[fence] for fence, epoch in held[process])
            or (rollout.wanted and any(process in fences.holders[fence] for fence in changing))
        ),
    )


def _epochs(rollout: Rollout, fences: Fences) -> Iterator[tuple[str, int]]:
    for marks in rollout.holding:
        for fence, mark in marks.items():
            if fence in fences.marks:
                yield fence, mark.epoch


def order(
    rollouts: Mapping[str, Rollout],
    topology: Topology,
    switch: Switch | None,
    last: Collection[str] = (),
) -> tuple[tuple[str, ...], ...]:
    """All processes that restart or are just restarting, wave by wave; a switch comes first.

    `last` have to wait for others, which must not have to wait for them.
    """
    members = switch.members if switch else ()
    elsewhere = {*members, *last}
    later = [
        process
        for process, rollout in rollouts.items()
        if process not in elsewhere
        and (rollout.changed or (rollout.applied and not rollout.settled))
    ]
    called = [process.name for process in topology.replicating]
    # Main, which is first of all, is called by everybody.
    in_turn = [*called[1:], *called[:1]]
    waves = (
        members,
        tuple(process for process in later if process not in called),
        *((process,) for process in in_turn if process in later),
        tuple(last),
    )
    return tuple(wave for wave in waves if wave)


def may_start(rollout: Rollout, waves: Iterable[tuple[str, ...]], switch: Switch | None) -> bool:
    """Whether a process may be changed now, rather than when others are done.

    One of which no pod is ready may at any time, outside of a switch: it has nothing to lose, and
    the others may be waiting for just that. And one for which that brings no new pod, because an
    edit is taken back and those from before it serve.
    """
    first = next(iter(waves), ())
    return rollout.process in first or not rollout.fresh or not (rollout.alive or switch)
