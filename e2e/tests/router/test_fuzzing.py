"""What is thrown at routers is the same for each seed, of every kind, and can be told apart."""

from __future__ import annotations

from collections import Counter

from e2e.tests.router.fuzzing import agent_of, attacks, inside_of

TOKEN = "syt_YWxpY2U_xyz_1"
ALL = attacks(1, 600, "x.example.org", TOKEN)


def test_a_seed_is_all_that_it_depends_on() -> None:
    assert attacks(1, 600, "x.example.org", TOKEN) == ALL
    assert attacks(2, 600, "x.example.org", TOKEN) != ALL


def test_each_carries_its_own_marks() -> None:
    for attack in ALL:
        if not attack.what.startswith("no HTTP"):
            assert attack.source.encode() in attack.data
            assert f"{agent_of(attack.number)}\r\n".encode() in attack.data
        if attack.what.startswith("smuggled"):
            assert inside_of(attack.number).encode() in attack.data
    assert len({attack.source for attack in ALL} | {inside_of(a.number) for a in ALL}) == 1200


def test_there_are_many_kinds_and_half_of_them_have_one_place_to_go() -> None:
    kinds = Counter(attack.what for attack in ALL)
    assert len(kinds) > 50
    assert sum(attack.well_formed for attack in ALL) == len(ALL) / 2


def test_a_token_stands_in_many_places() -> None:
    told = [attack for attack in ALL if attack.what == "a token"]
    heads = {a.data.partition(TOKEN.encode())[0].rsplit(b"\r\n", 1)[-1][:9] for a in told}
    assert len(heads) > 4
