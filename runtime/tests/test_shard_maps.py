"""One map has one digest, whichever process reads it; another map has another."""

from __future__ import annotations

from typing import Any

import pytest
from tests.parsed import parsed

from homeserver_runtime.shard_maps import shard_maps

MAPPED: dict[str, Any] = {
    "instance_map": {
        "main": {"host": "hs-main-e1", "port": 9093},
        "persister-0": {"host": "hs-persister-0-e1", "port": 9093},
        "persister-1": {"host": "hs-persister-1-e1", "port": 9093},
    },
    "stream_writers": {"events": ["persister-0", "persister-1"]},
}
SENDERS: dict[str, Any] = {"federation_sender_instances": ["sender-0", "sender-1"]}
PUSHERS: dict[str, Any] = {"pusher_instances": ["pusher-0"]}


def digests(name: str | None = None, **settings: Any) -> dict[str, str]:
    """What a process says; without a name it is main."""
    return shard_maps(parsed(name, **settings))


def test_every_process_that_has_a_map_tells_the_same_of_it() -> None:
    main = digests(**MAPPED, **SENDERS, **PUSHERS)
    assert set(main) == {"topology", "federation", "push"}
    assert digests("persister-0", **MAPPED) == {"topology": main["topology"]}
    sender = digests("sender-1", **MAPPED, **SENDERS)
    assert sender == {"topology": main["topology"], "federation": main["federation"]}
    pusher = digests("pusher-0", **MAPPED, **PUSHERS)
    assert pusher == {"topology": main["topology"], "push": main["push"]}


def test_a_main_process_that_does_everything_says_so() -> None:
    assert set(digests()) == {"topology", "federation", "push"}


def moved(**hosts: str) -> dict[str, Any]:
    return MAPPED | {
        "instance_map": {
            name: {"host": hosts.get(name.replace("-", "_"), f"hs-{name}-e2"), "port": 9093}
            for name in MAPPED["instance_map"]
        }
    }


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(moved(), id="the next epoch's hosts"),
        pytest.param(
            MAPPED | {"instance_map": dict(reversed(MAPPED["instance_map"].items()))},
            id="another order of the instance map",
        ),
        pytest.param(
            {**MAPPED, "stream_writers": {**MAPPED["stream_writers"], "typing": ["master"]}},
            id="what is the default anyway",
        ),
    ],
)
def test_the_topology_is_the_same_with(settings: dict[str, Any]) -> None:
    assert digests(**settings)["topology"] == digests(**MAPPED)["topology"]


@pytest.mark.parametrize(
    ("settings", "fence"),
    [
        pytest.param(
            MAPPED | {"stream_writers": {"events": ["persister-1", "persister-0"]}},
            "topology",
            id="another order of the writers, which decides who has which room",
        ),
        pytest.param(
            MAPPED | {"stream_writers": {"events": ["persister-0"]}}, "topology", id="a writer less"
        ),
        pytest.param(
            {
                **MAPPED,
                "instance_map": {**MAPPED["instance_map"], "x": {"host": "x", "port": 9093}},
            },
            "topology",
            id="a member more of the instance map",
        ),
        pytest.param(
            MAPPED | {"federation_sender_instances": ["sender-1", "sender-0"]},
            "federation",
            id="another order of the senders",
        ),
        pytest.param(
            MAPPED | {"pusher_instances": ["pusher-0", "pusher-1"]}, "push", id="a pusher more"
        ),
    ],
)
def test_a_map_is_another_with(settings: dict[str, Any], fence: str) -> None:
    before = digests(**MAPPED, **SENDERS, **PUSHERS)
    after = digests(**{**SENDERS, **PUSHERS, **settings})
    assert {name for name in before if before[name] != after[name]} == {fence}
