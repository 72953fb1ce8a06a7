"""Who gets which slot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver_router.ledger import Ledger, assign

if TYPE_CHECKING:
    from collections.abc import Callable

THREE = Ledger({"a": 1, "b": 2, "c": 3})


@pytest.mark.parametrize(
    ("before", "present", "members", "patient", "after"),
    [
        pytest.param({}, "abc", "abc", "", {"a": 1, "b": 2, "c": 3}, id="the first get them all"),
        pytest.param(
            {"a": 1, "b": 2, "c": 3}, "abcd", "abcd", "", {"a": 1, "b": 2, "c": 3, "d": 4},
            id="one in addition moves nobody",
        ),
        pytest.param(
            {"a": 1, "b": 2, "c": 3}, "bcd", "bcd", "", {"d": 1, "b": 2, "c": 3},
            id="a successor has the slot of who went",
        ),
        pytest.param(
            {"a": 1, "b": 2, "c": 3}, "abcd", "abcd", "d", {"a": 1, "b": 2, "c": 3},
            id="one in addition waits for a predecessor to go",
        ),
        pytest.param(
            {"a": 1, "b": 2, "c": 3}, "acd", "acd", "d", {"a": 1, "d": 2, "c": 3},
            id="and has its slot as soon as it goes",
        ),
        pytest.param(
            {"a": 1, "b": 2}, "def", "def", "def", {"d": 1, "e": 2, "f": 3},
            id="nobody waits where nobody serves",
        ),
        pytest.param(
            {"a": 1, "b": 2}, "abc", "ab", "", {"a": 1, "b": 2},
            id="who is not ready needs no slot yet",
        ),
        pytest.param({"a": 1}, "", "", "", {"a": 1}, id="if all go nothing changes"),
        pytest.param(
            {"a": 1, "b": 2}, "ab", "b", "", {"a": 1, "b": 2},
            id="who turns unready keeps its slot",
        ),
        pytest.param(
            {"a": 1, "b": 2, "c": 3, "d": 4}, "abcde", "bcde", "", {"e": 1, "b": 2, "c": 3, "d": 4},
            id="if there is no other slot who serves takes that of one who does not",
        ),
        pytest.param(
            {"a": 1, "b": 2, "c": 3, "d": 4}, "abcde", "abcde", "",
            {"a": 1, "b": 2, "c": 3, "d": 4},
            id="where there is no room one stays without",
        ),
        pytest.param({"a": 7, "b": 2}, "ab", "ab", "", {"a": 1, "b": 2}, id="a slot is no more"),
    ],
)  # fmt: skip
def test_slots(
    before: dict[str, int], present: str, members: str, patient: str, after: dict[str, int]
) -> None:
    result = assign(Ledger(before), present=present, members=members, slots=4, patient=patient)
    assert result.slots == after


def test_a_successor_has_the_slot_that_was_given_back_last() -> None:
    """Slot 1 is free since a scale-down; slot 3 because its pod is being replaced."""
    scaled = assign(THREE, present="bc", members="bc", slots=6)
    assert scaled.freed == ((1, "a"),)
    gone = assign(scaled, present="b", members="b", slots=6)
    assert assign(gone, present="bd", members="bd", slots=6).slots == {"b": 2, "d": 3}


def test_a_successor_that_came_first_has_it_too_after_a_scale_down() -> None:
    scaled = assign(THREE, present="bc", members="bc", slots=6)
    both = assign(scaled, present="bcd", members="bcd", slots=6, patient="d")
    assert both == scaled
    assert assign(both, present="bd", members="bd", slots=6, patient="d").slots == {"b": 2, "d": 3}


def test_who_comes_back_finds_its_slot_though_others_come_with_it() -> None:
    gone = assign(THREE, present="b", members="b", slots=6)
    assert assign(gone, present="aABbc", members="aABbc", slots=6).slots == {
        "a": 1,
        "b": 2,
        "c": 3,
        "A": 4,
        "B": 5,
    }


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "null", '{"slots": {"a": "x"}, "freed": []}'),
        '{"slots": {"a": 1, "b": 1}, "freed": []}',
    ],
)
def test_a_ledger_that_cannot_be_right_is_begun_anew(text: str) -> None:
    assert Ledger.parse(text) == Ledger()


def test_a_ledger_is_read_as_it_was_written() -> None:
    ledger = Ledger({"b": 2, "a": 1}, ((3, "c"),))
    assert Ledger.parse(ledger.text()) == ledger
    assert json.loads(ledger.text()) == {"slots": {"a": 1, "b": 2}, "freed": [[3, "c"]]}


PODS = st.sets(st.sampled_from("abcdefgh"), max_size=8)
SLOTS = st.integers(1, 6)


@st.composite
def worlds(draw: Callable[..., set[str]]) -> tuple[set[str], set[str], set[str]]:
    """Pods that stay, those that need a slot, and those that wait."""
    present = draw(PODS)
    members = {pod for pod in present if pod in draw(PODS)} or present
    return present, members, {pod for pod in members if pod in draw(PODS)}


@pytest.mark.long
@given(st.lists(st.tuples(worlds(), SLOTS), max_size=12))
def test_whatever_happens_the_ledger_is_sound(
    story: list[tuple[tuple[set[str], set[str], set[str]], int]],
) -> None:
    ledger = Ledger()
    for (present, members, patient), slots in story:
        after = assign(ledger, present=present, members=members, slots=slots, patient=patient)
        if members:
            taken = list(after.slots.values())
            free = [slot for slot, _ in after.freed]
            assert len({*taken, *free}) == len(taken) + len(free) <= slots
            assert all(1 <= slot <= slots for slot in (*taken, *free))
            assert set(after.slots) <= present
            moved = {p for p, s in ledger.slots.items() if after.slots.get(p, s) != s}
            assert all(ledger.slots[pod] > slots for pod in moved)
            if len(present) <= slots:
                assert set(after.slots) >= members - patient
            placed = members & after.slots.keys()
            assert placed
        assert (
            assign(after, present=present, members=members, slots=slots, patient=patient) == after
        )
        assert Ledger.parse(after.text()) == after
        ledger = after


@given(
    st.integers(1, 6), st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=8)
)
def test_every_successor_has_the_slot_of_who_it_replaces(
    count: int, replacements: list[tuple[int, bool]]
) -> None:
    """Whether it comes before its predecessor goes, or after."""
    pods = [f"pod-{number}" for number in range(count)]
    ledger = assign(Ledger(), present=pods, members=pods, slots=12)
    for number, (which, surge) in enumerate(replacements):
        index, new = which % count, f"new-{number}"
        old, slot = pods[index], ledger.slots[pods[index]]
        if surge:
            everyone = [*pods, new]
            ledger = assign(ledger, present=everyone, members=everyone, slots=12, patient=[new])
        else:
            rest = [pod for pod in pods if pod != old]
            ledger = assign(ledger, present=rest, members=rest, slots=12)
        pods[index] = new
        ledger = assign(ledger, present=pods, members=pods, slots=12, patient=[new])
        if not surge:
            # It has waited by now.
            ledger = assign(ledger, present=pods, members=pods, slots=12)
        assert ledger.slots[new] == slot


@pytest.mark.long
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), worlds()), max_size=20), worlds())
def test_two_routers_agree_in_the_end_whatever_each_saw_and_when(
    story: list[tuple[bool, int, tuple[set[str], set[str], set[str]]]],
    final: tuple[set[str], set[str], set[str]],
) -> None:
    """Compare-and-swap: each writes only on the version that it has read."""
    shared, version = Ledger(), 0
    known = {False: (Ledger(), 0), True: (Ledger(), 0)}

    def act(who: bool, present: set[str], members: set[str]) -> None:
        nonlocal shared, version
        for _ in range(3):
            mine, read = known[who]
            after = assign(mine, present=present, members=members, slots=4)
            if after == mine:
                return
            if read == version:
                shared, version = after, version + 1
            known[who] = (shared, version)

    for who, _, (present, members, _) in story:
        act(who, present, members)
    present, members, _ = final
    for who in (True, False, True, False):
        act(who, present, members)
        known[who] = (shared, version)
        act(who, present, members)
    assert known[True] == known[False] == (shared, version)


def test_a_slot_that_is_taken_is_not_given_out_though_the_ledger_calls_it_free() -> None:
    muddled = Ledger({"a": 1}, ((1, "x"),))
    assert assign(muddled, present="ab", members="ab", slots=4) == Ledger({"a": 1, "b": 2})
