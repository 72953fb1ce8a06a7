"""Planned restarts as people and programs read them, whether from a status or from a preview."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from homeserver_operator.api.restarts import Restart, Wave
from homeserver_operator.cli.output import table


def from_status(plan: Mapping[str, Any]) -> tuple[Wave, ...]:
    """The waves of `status.plan`."""
    return tuple(
        Wave(tuple(Restart(each["process"], each["because"]) for each in wave["restarts"]))
        for wave in plan.get("waves", ())
    )


def as_document(waves: tuple[Wave, ...]) -> list[dict[str, Any]]:
    """The waves for programs."""
    return [
        {
            "restarts": [
                {"process": each.process, "because": each.because} for each in wave.restarts
            ],
            **({"epochs": dict(wave.epochs)} if wave.epochs else {}),
        }
        for wave in waves
    ]


def lines(waves: tuple[Wave, ...], more: int = 0) -> Iterator[str]:
    """The waves for people: who restarts in which, and why; `more` do whom the status left out."""
    rows = [
        (str(number), each.process, each.because)
        for number, wave in enumerate(waves, 1)
        for each in wave.restarts
    ]
    yield table(("WAVE", "PROCESS", "BECAUSE"), rows)
    if more:
        yield f"and {more} more"
    for number, wave in enumerate(waves, 1):
        if wave.epochs:
            fences = ", ".join(f"{name} {epoch}" for name, epoch in sorted(wave.epochs.items()))
            text = f"Wave {number} begins new epochs ({fences}): its processes change over at once."
            yield textwrap.fill(text, 100)
