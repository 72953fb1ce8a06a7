"""The homeserver that is restarted, and what is edited, are what the benchmark says they are."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from e2e.bench.downtime import PROCESSES, resource
from e2e.bench.noticed import CLASSES, ONE
from e2e.product.matrix import User
from e2e.product.mix import KINDS, Mix
from e2e.product.restarting import rename
from e2e.product.routes import class_of

SYNC = "/_matrix/client/v3/sync"


def _groups() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = resource()["spec"]["workers"]
    return groups


def _path(kind: str) -> str:
    if kind == "sync":
        return SYNC
    user = User(ingress="127.0.0.1", host="x", name="alice", password="")
    user.client.restore_login("@alice:x", "DEVICE", "token")
    return Mix("!room:x").request(kind, user).path


def test_it_has_as_many_processes_as_it_says() -> None:
    assert 1 + sum(group.get("replicas", 1) for group in _groups()) == PROCESSES


@pytest.mark.parametrize("kind", [*KINDS, "sync"])
def test_as_many_answer_a_request_as_its_class_says(kind: str) -> None:
    claimed = class_of(_path(kind))
    servers = [
        group.get("replicas", 1)
        for group in _groups()
        if claimed in (*group.get("serves", ()), *group.get("writes", ()))
    ]
    # Main has what nobody claims.
    assert sum(servers or [1]) == (1 if CLASSES[kind] == ONE else 2)


def test_main_and_a_worker_are_both_asked_at_their_services_addresses() -> None:
    claimed = {class_of(_path(kind)) for kind in KINDS if CLASSES[kind] == ONE}
    written = {stream for group in _groups() for stream in group.get("writes", ())}
    assert claimed & written
    assert claimed - written


def test_a_switch_renames_the_event_persisters_alone_and_the_next_one_puts_it_back() -> None:
    before = resource()["spec"]
    after = copy.deepcopy(before)
    rename(after)
    [changed] = [
        group
        for group, old in zip(after["workers"], before["workers"], strict=True)
        if group != old
    ]
    assert changed["writes"] == ["events"]
    rename(after)
    assert after == before
