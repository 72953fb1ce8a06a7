"""The judge of overlaps acquits what is in order and convicts what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2e.product.overlaps import Deed, Span, out_of_order, together
from homeserver_runtime.label import parse

MAIN_1 = "main t1 f1 p1 7d9f-aaaaa"
MAIN_2 = "main t2 f1 p1 7d9f-bbbbb"
SENDER_1 = "sender-0 t1 f1 7d9f-ccccc"
SENDER_2 = "sender-0 t1 f2 7d9f-ddddd"
READER = "hub-reader-7d9f-eeeee t1"
READER_TOO = "hub-reader-7d9f-fffff t1"


def _deeds(*texts: str) -> list[Deed]:
    return [Deed(at, parse(text)) for at, text in enumerate(texts)]


def _spans(*spans: tuple[float, float, str]) -> list[Span]:
    return [Span(begins, ends, parse(text)) for begins, ends, text in spans]


@pytest.mark.parametrize(
    ("texts", "convicted"),
    [
        pytest.param([MAIN_1, SENDER_1, MAIN_1, MAIN_2, MAIN_2], 0, id="one epoch after the other"),
        pytest.param([MAIN_1, MAIN_2, SENDER_1], 1, id="the earlier epoch after the later one"),
        pytest.param(
            [MAIN_1, SENDER_2, MAIN_1], 1, id="of the second fence alone, the earlier one again"
        ),
        pytest.param([MAIN_1, "main t1 f1 p1 7d9f-bbbbb"], 0, id="a successor of the same epoch"),
        pytest.param(
            [MAIN_1, "main t1 f1 p1 7d9f-bbbbb", MAIN_1], 1, id="a pod after its successor"
        ),
        pytest.param([READER, READER_TOO, READER], 0, id="two of a group that only serves"),
    ],
)
def test_deeds(texts: list[str], convicted: int) -> None:
    assert len(out_of_order(_deeds(*texts))) == convicted


@pytest.mark.parametrize(
    ("spans", "convicted"),
    [
        pytest.param([(0, 5, MAIN_1), (1, 4, SENDER_1), (5, 9, MAIN_2)], 0, id="in turn"),
        pytest.param([(0, 5, MAIN_1), (4.9, 9, MAIN_2)], 0, id="listed a moment too long"),
        # Its epoch, and its name.
        pytest.param([(0, 5, MAIN_1), (4, 9, MAIN_2)], 2, id="two epochs connected at once"),
        pytest.param([(0, 5, SENDER_1), (4, 9, MAIN_2)], 1, id="two epochs of two processes"),
        pytest.param(
            [(0, 5, MAIN_1), (4, 9, "main t1 f1 p1 7d9f-bbbbb")], 1, id="one name in two pods"
        ),
        pytest.param([(0, 5, READER), (4, 9, READER_TOO)], 0, id="two of a group that only serves"),
    ],
)
def test_spans(spans: list[tuple[float, float, str]], convicted: int) -> None:
    assert len(together(_spans(*spans))) == convicted


@given(epochs=st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_only_a_rising_sequence_of_epochs_is_acquitted(epochs: list[int]) -> None:
    texts = [f"main t{epoch} pod-{epoch}" for epoch in epochs]
    assert (out_of_order(_deeds(*texts)) == []) == (epochs == sorted(epochs))
