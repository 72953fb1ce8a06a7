"""A table reads well in a terminal, whatever numbers are in it."""

from __future__ import annotations

from e2e.bench.table import Measurement, table


def test_numbers_stand_at_the_right_whatever_their_sign() -> None:
    rows = [
        Measurement("long enough a name", "ms", [-4.5], load=0.5),
        Measurement("b", "ms", [1000], load=0.5),
    ]
    *_, negative, positive = table(rows).splitlines()
    ends = [[cell[-2] for cell in row.split("|")[2:5]] for row in (negative, positive)]
    assert ends == [["5"] * 3, ["0"] * 3]
