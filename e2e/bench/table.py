"""Measurements and the table that they are printed as."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from e2e.bench.machine import load

HEADINGS = ("what", "median", "min", "max", "aim", "n", "unit", "load")


@dataclass(frozen=True)
class Measurement:
    """Values of one quantity. `load` is the load average when the last of them was taken.

    `aim` is what the median shall not exceed, None where nothing is promised.
    """

    what: str
    unit: str
    values: Sequence[float]
    aim: float | None = None
    load: float = field(default_factory=load)

    def row(self) -> tuple[str, ...]:
        """The cells under HEADINGS."""
        shown = (statistics.median(self.values), min(self.values), max(self.values))
        numbers = (_number(value) for value in shown)
        aim = "" if self.aim is None else f"≤ {_number(self.aim)}"
        return (self.what, *numbers, aim, str(len(self.values)), self.unit, f"{self.load:.1f}")


def table(measurements: Sequence[Measurement]) -> str:
    """A Markdown table, aligned so that it reads well in a terminal."""
    rows = [HEADINGS, *(item.row() for item in measurements)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [_line(row, widths) for row in rows]
    rule = "|".join(["", *("-" * (width + 2) for width in widths), ""])
    return "\n".join([lines[0], rule, *lines[1:]])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.rjust(width) if _is_number(cell) else cell.ljust(width)
        for cell, width in zip(row, widths, strict=True)
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"


def _is_number(cell: str) -> bool:
    return cell.removeprefix("-").replace(".", "", 1).isdigit()
