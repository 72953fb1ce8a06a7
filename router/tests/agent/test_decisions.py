"""Members, servers, commands, configurations: everything that is decided without I/O."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.agent.kube import slice_of

from homeserver_router import plan, pods
from homeserver_router.choice import REFUSED_SECONDS, Choice
from homeserver_router.configuration import Configuration, ConfigurationRefusedError
from homeserver_router.desired import AWAIT_SECONDS, FORGET_SECONDS, Desired
from homeserver_router.endpoints import (
    SERVICE_LABEL,
    Address,
    Endpoint,
    by_service,
    labels_of,
    members,
    present,
)
from homeserver_router.haproxy import Worker, parse_processes
from homeserver_router.ledger import Ledger
from homeserver_router.meeting import MEET_SECONDS, Meeting
from homeserver_router.plan import NOBODY, Server
from homeserver_router.settings import SettingError, Settings

A, B, C = (Address(f"10.0.0.{number}", 8008) for number in (1, 2, 3))
SIX = Address("fd00::1", 8008)


def endpoint(conditions: dict[str, Any], *, address: str = "10.0.0.1") -> dict[str, Any]:
    return {
        "addresses": [address],
        "conditions": conditions,
        "targetRef": {"kind": "Pod", "name": "a"},
    }


def sliced(*endpoints: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**slice_of("sync", {}), "endpoints": list(endpoints), **more}


@pytest.mark.parametrize(
    ("conditions", "ready", "stays", "serves"),
    [
        pytest.param({"ready": True}, True, True, True, id="ready"),
        pytest.param({"ready": False}, False, True, False, id="warming up"),
        pytest.param({"ready": True, "serving": False}, True, True, False, id="published, warms"),
        pytest.param({}, True, True, True, id="nothing said means ready"),
        pytest.param({"ready": None}, True, True, True, id="null means ready"),
        pytest.param(
            {"ready": True, "terminating": True}, False, False, True, id="published and ends"
        ),
        pytest.param(
            {"ready": False, "serving": True, "terminating": True}, False, False, True, id="ends"
        ),
    ],
)
def test_a_pod_is(conditions: dict[str, Any], ready: bool, stays: bool, serves: bool) -> None:
    (found,) = by_service([sliced(endpoint(conditions))])["sync"]
    assert (found.ready, not found.terminating, found.serves) == (ready, stays, serves)


@pytest.mark.parametrize(
    ("ready", "terminating", "chosen"),
    [
        pytest.param("abc", "", "abc", id="all that are ready"),
        pytest.param("ab", "", "ab", id="the ready ones alone, if there are any"),
        pytest.param("", "", "abc", id="those that warm up, if nobody is ready"),
        pytest.param("abc", "a", "bc", id="nobody that ends"),
        pytest.param("", "ab", "c", id="who warms up before those that end"),
        pytest.param("abc", "abc", "", id="none, if all end"),
    ],
)
def test_requests_go_to(ready: str, terminating: str, chosen: str) -> None:
    addresses = {"a": A, "b": B, "c": C}
    found = by_service([slice_of("sync", addresses, ready=ready, terminating=terminating)])["sync"]
    assert members(found) == {pod: addresses[pod] for pod in chosen}
    assert present(found) == set("abc") - set(terminating)


@pytest.mark.parametrize(
    ("ports", "port"),
    [
        pytest.param([{"name": "http", "port": 8008}], 8008, id="the named one"),
        pytest.param(
            [{"name": "metrics", "port": 9000}, {"name": "http", "port": 1}], 1, id="among several"
        ),
        pytest.param([{"name": "web", "port": 80}], 80, id="the only one"),
        pytest.param(
            [{"name": "a", "port": 1}, {"name": "b", "port": 2}], None, id="none: unclear"
        ),
        pytest.param([{"name": "http", "port": None}], None, id="none: no number"),
        pytest.param(None, None, id="none: no ports"),
    ],
)
def test_the_port_is(ports: Any, port: int | None) -> None:
    found = by_service([sliced(endpoint({}), ports=ports)]).get("sync", ())
    assert [each.address.port for each in found] == ([] if port is None else [port])


@pytest.mark.parametrize("turned", [False, True], ids=["as listed", "the other way round"])
def test_slices_of_a_service_are_taken_together(turned: bool) -> None:
    slices = [
        slice_of("sync", {"a": A, "b": B}),
        slice_of("sync", {"c": C}),
        slice_of("sync", {"a": SIX}, family="IPv6"),
        slice_of("main", {"m": C}),
        sliced(endpoint({}, address="example.org"), addressType="FQDN"),
        {"metadata": {}, "addressType": "IPv4"},
    ]
    found = by_service(reversed(slices) if turned else slices)
    assert members(found["sync"]) == {"a": A, "b": B, "c": C}
    assert members(found["main"]) == {"m": C}


def test_a_pod_that_moves_between_slices_counts_as_the_readier_of_both() -> None:
    slices = [
        slice_of("sync", {"a": A}, ready=[]),
        slice_of("sync", {"a": A}),
        slice_of("sync", {"a": A}, terminating=["a"]),
    ]
    assert [each.ready for each in by_service(slices)["sync"]] == [True]


def test_a_pod_of_ipv6_alone_is_reached_by_it() -> None:
    found = by_service([slice_of("sync", {"a": SIX}, family="IPv6")])
    assert members(found["sync"]) == {"a": SIX}


ON, OFF = True, False


@pytest.mark.parametrize(
    ("live", "wanted", "commands"),
    [
        pytest.param(
            Server(NOBODY, OFF), Server(A, ON),
            ["addr 10.0.0.1 port 8008", "state ready"], id="who comes",
        ),
        pytest.param(Server(A, ON), Server(A, ON), [], id="who is there"),
        pytest.param(Server(A, ON), Server(B, ON), ["addr 10.0.0.2 port 8008"], id="a successor"),
        pytest.param(Server(A, ON), Server(None, OFF), ["state maint"], id="who goes"),
        pytest.param(Server(A, OFF), Server(A, ON), ["state ready"], id="who comes back"),
        pytest.param(Server(A, OFF), Server(None, OFF), [], id="a slot that stays empty"),
        pytest.param(
            Server(A, OFF), Server(SIX, ON), ["addr fd00::1 port 8008", "state ready"], id="IPv6"
        ),
    ],
)  # fmt: skip
def test_haproxy_is_told_of(live: Server, wanted: Server, commands: list[str]) -> None:
    told = list(plan.commands({"sync": {"s1": live}}, {"sync": {"s1": wanted}}))
    assert told == [f"router server sync/s1 {command}" for command in commands]


def test_who_goes_is_told_last_and_servers_that_are_not_there_are_passed_over() -> None:
    live = {"sync": {"s1": Server(A, ON), "s2": Server(NOBODY, OFF)}}
    wanted = {
        "sync": {"s1": Server(None, OFF), "s2": Server(B, ON), "s3": Server(C, ON)},
        "new": {"s1": Server(C, ON)},
    }
    assert list(plan.commands(live, wanted)) == [
        "router server sync/s2 addr 10.0.0.2 port 8008",
        "router server sync/s2 state ready",
        "router server sync/s1 state maint",
    ]
    assert plan.missing(live, wanted) == ["sync/s3", "new/s1"]


@pytest.mark.parametrize(
    ("live", "wanted", "fitted"),
    [
        pytest.param({"s1": Server(A, ON)}, {"s1": Server(B, ON)}, {"s1": Server(B, ON)},
                     id="as it is wanted, where it has the same slots"),
        pytest.param({"s1": Server(A, ON)}, {"s1": Server(B, ON), "s2": Server(C, ON)},
                     {"s1": Server(B, ON)}, id="no slots that it lacks"),
        pytest.param({"s1": Server(A, ON), "s2": Server(B, ON), "main": Server(None, OFF)},
                     {"s1": Server(C, ON)},
                     {"s1": Server(C, ON), "s2": Server(None, OFF), "main": Server(None, OFF)},
                     id="nobody in slots that are no longer wanted"),
        pytest.param({"s1": Server(A, ON), "s2": Server(NOBODY, OFF)},
                     {"s1": Server(None, OFF), "s2": Server(None, OFF), "s3": Server(C, ON)},
                     {"s1": Server(C, ON), "s2": Server(None, OFF)},
                     id="somebody at least, whatever slots they have"),
    ],
)  # fmt: skip
def test_a_process_of_another_configuration_gets(
    live: dict[str, Server], wanted: dict[str, Server], fitted: dict[str, Server]
) -> None:
    assert plan.fitted({"sync": live, "gone": live}, {"sync": wanted, "new": wanted}) == {
        "sync": fitted
    }


STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port
3 sync 1 s1 10.0.0.1 2 4 256 8008
3 sync 2 s2 127.0.0.1 0 5 256 9
3 sync 3 s3 - 0 32 256 0
4 main 1 s1 fd00::1 2 0 256 8008

"""


def test_the_state_of_servers_is_read() -> None:
    assert plan.parse_state(STATE) == {
        "sync": {"s1": Server(A, ON), "s2": Server(NOBODY, OFF), "s3": Server(None, OFF)},
        "main": {"s1": Server(SIX, ON)},
    }


@pytest.mark.parametrize("text", ["", "Unknown command", "2\n# a b\n"])
def test_another_answer_is_no_state(text: str) -> None:
    with pytest.raises(ValueError, match="does not tell"):
        plan.parse_state(text)


@pytest.mark.parametrize(
    ("said", "undone"),
    [
        pytest.param("\n\n", [], id="silence"),
        pytest.param("IP changed from '1.1.1.1' to '10.0.0.1' by 'stats socket command'\n", [],
                     id="an address changed"),
        pytest.param("no need to change the addr, port changed from '9' to '8'\n", [], id="a port"),
        pytest.param("\nNo such server.\n", ["No such server."], id="an unknown server"),
        pytest.param("Proxy is disabled.\n", ["Proxy is disabled."], id="a process that ends"),
    ],
)  # fmt: skip
def test_what_haproxy_did_not_do_is_seen(said: str, undone: list[str]) -> None:
    assert plan.refusals(said) == undone


CONFIG = """global
    maxconn 100
backend sync
    server s1 127.0.0.1:9 id 1 weight 256 disabled
    server s2 127.0.0.1:9 id 2 weight 256 disabled
    server main 127.0.0.1:9 backup disabled maxconn 50
frontend sync
    bind :8080
backend other
    server s1 outside.example.org:80 id 1
"""


def test_addresses_are_written_into_the_configuration_and_read_from_it() -> None:
    servers = {
        "sync": {"s1": Server(A, ON), "s2": Server(SIX, ON), "main": Server(None, OFF)},
        "gone": {"s1": Server(A, ON)},
    }
    text = plan.with_addresses(CONFIG, servers, "alpha-router-1", "/a.lua")
    assert text.splitlines()[3:6] == [
        "    server s1 10.0.0.1:8008 id 1 weight 256 enabled",
        "    server s2 [fd00::1]:8008 id 2 weight 256 enabled",
        "    server main 127.0.0.1:9 backup maxconn 50 disabled",
    ]
    assert "server s1 outside.example.org:80 id 1\n" in text
    assert text.endswith("global\n    description alpha-router-1\n    lua-load /a.lua\n")
    assert plan.read_addresses(text)["sync"] == {**servers["sync"], "main": Server(NOBODY, OFF)}


@given(
    st.dictionaries(st.integers(-2, 9), st.just(A)), st.dictionaries(st.integers(0, 9), st.just(B))
)
def test_a_backend_is_never_empty(placed: dict[int, Address], last: dict[int, Address]) -> None:
    filled = plan.fill(placed, slots=4, last=last)
    assert filled
    assert set(filled) <= {1, 2, 3, 4}
    if set(placed) & {1, 2, 3, 4}:
        assert set(filled.values()) == {A}


def files(**backends: Any) -> dict[str, str]:
    return {"haproxy.cfg": CONFIG, "agent.json": json.dumps({"backends": backends})}


SYNC = {"service": "alpha-sync", "port": 8008, "slots": 3, "main": False}


class World:
    """Desired servers of one backend at a time that a test sets."""

    def __init__(self, **more: Any) -> None:
        self.now = 1000.0
        self.configuration = Configuration.parse("c", files(sync={**SYNC, **more}))
        self.desired = Desired(lambda: self.now)
        self.ledger = Ledger()
        self.warming = ""
        self.failing = ""
        """Of Services that publish them all the same."""
        self.told = True

    def at(self, now: float, **services: dict[str, Address]) -> dict[str, Server]:
        self.now = now
        endpoints = {
            f"alpha-{name}": tuple(
                Endpoint(
                    pod,
                    address,
                    ready=pod not in self.warming,
                    terminating=False,
                    serves=pod not in self.warming + self.failing,
                )
                for pod, address in found.items()
            )
            for name, found in services.items()
        }
        servers = self.desired.servers(
            self.configuration, endpoints, lambda _: self.ledger, told=self.told
        )
        return servers["sync"]


def test_who_has_a_slot_is_in_it_and_who_has_none_is_told_of() -> None:
    world = World()
    world.ledger = Ledger({"a": 2, "z": 9})
    assert world.at(0, sync={"a": A, "b": B, "z": C}) == {
        "s1": Server(None, OFF),
        "s2": Server(A, ON),
        "s3": Server(None, OFF),
    }
    assert world.desired.standing["sync"].unplaced == ("b", "z")


def test_a_backend_keeps_its_last_addresses_for_a_while_when_all_have_gone() -> None:
    """They refuse, so that requests wait; but somebody else's pod may be there after that."""
    world = World()
    world.ledger = Ledger({"a": 2})
    world.at(0, sync={"a": A})
    assert world.at(1)["s2"] == Server(A, ON)
    assert world.at(1 + FORGET_SECONDS) == {
        "s1": Server(NOBODY, ON),
        "s2": Server(None, OFF),
        "s3": Server(None, OFF),
    }
    assert world.at(20, sync={"a": B})["s2"] == Server(B, ON)
    assert world.at(21)["s2"] == Server(B, ON)


def test_before_it_is_told_of_pods_an_agent_forgets_none() -> None:
    world = World(fallback=FALLBACK)
    world.desired.recall(world.configuration, {"sync": {"s3": Server(C, ON)}})
    world.told = False
    for now in (0, 100):
        assert world.at(now)["s3"] == Server(C, ON)


def test_a_backend_that_never_had_anyone_holds_too() -> None:
    assert World().at(0)["s1"] == Server(NOBODY, ON)


def test_those_that_warm_up_with_the_first_one_are_awaited_for_a_while() -> None:
    """Their keys are not the first one's meanwhile: their sockets hold what arrives."""
    world, pods = World(), {"a": A, "b": B, "c": C}
    world.ledger = Ledger({"a": 1, "b": 2, "c": 3})
    world.warming = "abc"
    everyone = {"s1": Server(A, ON), "s2": Server(B, ON), "s3": Server(C, ON)}
    assert world.at(0, sync=pods) == everyone
    world.warming = "bc"
    assert world.at(1, sync=pods) == everyone
    world.warming = "c"
    assert world.at(AWAIT_SECONDS, sync=pods) == everyone
    assert world.at(AWAIT_SECONDS + 1, sync=pods) == {**everyone, "s3": Server(None, OFF)}
    # Who was given up, or has turned unready since, is awaited by nobody.
    world.warming = "b"
    assert world.at(AWAIT_SECONDS + 2, sync=pods) == {**everyone, "s2": Server(None, OFF)}
    # With all of them gone it begins anew.
    world.warming = "abc"
    assert world.at(AWAIT_SECONDS + 3, sync=pods) == everyone
    world.warming = "ab"
    assert world.at(AWAIT_SECONDS + 4, sync=pods) == everyone


def test_who_warms_up_beside_those_that_serve_gets_nothing() -> None:
    world = World()
    world.ledger = Ledger({"a": 1, "b": 2})
    world.at(0, sync={"a": A})
    world.warming = "b"
    assert world.at(1, sync={"a": A, "b": B})["s2"] == Server(None, OFF)


def test_a_new_agent_remembers_what_haproxy_has() -> None:
    world = World()
    observed = {"sync": {"s3": Server(C, ON), "s1": Server(NOBODY, ON), "main": Server(A, ON)}}
    world.desired.recall(world.configuration, observed)
    assert world.at(0) == {
        "s1": Server(None, OFF),
        "s2": Server(None, OFF),
        "s3": Server(C, ON),
    }


FALLBACK = {"server": "main", "service": "alpha-main", "after": 15}


def test_main_answers_after_a_while_without_anyone_until_somebody_is_there() -> None:
    world = World(fallback=FALLBACK)
    world.ledger = Ledger({"a": 1})
    world.at(0, sync={"a": A}, main={"m": B})
    assert world.at(10, main={"m": B})["main"] == Server(None, OFF)
    assert world.at(24.9, main={"m": B})["main"] == Server(None, OFF)
    late = world.at(25, main={"m": B})
    assert (late["main"], late["s1"]) == (Server(B, ON), Server(None, OFF))
    assert world.desired.standing["sync"].fallback
    # Nor is anything better without main.
    assert world.at(26)["s1"] == Server(NOBODY, ON)
    back = world.at(27, sync={"a": A}, main={"m": B})
    assert (back["main"], back["s1"]) == (Server(None, OFF), Server(A, ON))


@pytest.mark.parametrize("away", [1, 3600], ids=["for a moment", "for long"])
def test_where_main_answered_it_goes_on_after_an_agents_restart_without_api_server(
    away: int,
) -> None:
    world = World(fallback=FALLBACK)
    world.ledger = Ledger({"a": 1})
    before = {"s1": Server(NOBODY, OFF), "main": Server(B, ON)}
    world.desired.recall(world.configuration, {"sync": before})
    world.told = False
    start = world.now
    for now in (start, start + away):
        untold = world.at(now)
        assert (untold["main"], untold["s1"]) == (Server(B, ON), Server(None, OFF))
        assert world.desired.standing["sync"].fallback
    world.told = True
    told = start + away + 1
    assert world.at(told, main={"m": C})["main"] == Server(C, ON)
    back = world.at(told + 1, sync={"a": A}, main={"m": C})
    assert (back["main"], back["s1"]) == (Server(None, OFF), Server(A, ON))
    # From then on it is as ever.
    assert world.at(told + 2, main={"m": C})["main"] == Server(None, OFF)
    assert world.at(told + 17, main={"m": C})["main"] == Server(C, ON)


@pytest.mark.parametrize(
    "main",
    [Server(B, OFF), Server(NOBODY, ON), Server(None, OFF)],
    ids=["that did not answer", "that was nowhere", "that never was anywhere"],
)
def test_a_new_agent_does_not_bring_in_main(main: Server) -> None:
    world = World(fallback=FALLBACK)
    world.desired.recall(world.configuration, {"sync": {"main": main, "s1": Server(A, ON)}})
    world.told = False
    for now in (1000, 4600):
        assert world.at(now)["main"] == Server(None, OFF)
    world.told = True
    assert world.at(4601, main={"m": C})["main"] == Server(None, OFF)
    assert world.at(4616, main={"m": C})["main"] == Server(C, ON)


@pytest.mark.parametrize("state", ["warming", "failing"])
def test_main_answers_for_pods_that_do_not_serve(state: str) -> None:
    """One that ends again and again, or whose node is gone, stays an endpoint for minutes."""
    world, pods = World(fallback=FALLBACK), {"a": A}
    world.ledger = Ledger({"a": 1})
    world.at(0, sync=pods, main={"m": B})
    setattr(world, state, "a")
    assert world.at(10, sync=pods, main={"m": B})["s1"] == Server(A, ON)
    assert world.at(25, sync=pods, main={"m": B})["main"] == Server(B, ON)
    setattr(world, state, "")
    assert world.at(26, sync=pods, main={"m": B})["s1"] == Server(A, ON)


def test_where_all_start_at_once_their_own_pods_are_waited_for() -> None:
    world, pods = World(fallback=FALLBACK), {"sync": {"a": A}, "main": {"m": B}}
    world.ledger = Ledger({"a": 1})
    world.warming = "am"
    for now in (0, 100):
        assert world.at(now, **pods)["s1"] == Server(A, ON)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("../x", "", id="a file outside"),
        pytest.param("agent.json", "{", id="no JSON"),
        pytest.param("agent.json", "[]", id="no mapping"),
        pytest.param("agent.json", '{"backends": {"sync": {"slots": 1}}}', id="no Service"),
        pytest.param(
            "agent.json", '{"backends": {"sync": {"service": "s", "slots": 0}}}', id="no slots"
        ),
    ],
)
def test_a_configuration_is_refused_for(name: str, content: str) -> None:
    with pytest.raises(ConfigurationRefusedError):
        Configuration.parse("c", {**files(sync=SYNC), name: content})


@pytest.mark.parametrize("lacking", ["agent.json", "haproxy.cfg"])
def test_a_configuration_is_refused_without(lacking: str) -> None:
    content = files(sync=SYNC)
    del content[lacking]
    with pytest.raises(ConfigurationRefusedError, match=lacking):
        Configuration.parse("c", content)


AUTH = {"service": "auth", "port": 8080, "slots": 1, "main": False, "byName": True}


def test_a_service_has_the_slots_of_its_largest_backend_and_those_by_name_are_not_ours() -> None:
    configuration = Configuration.parse("c", files(sync=SYNC, more={**SYNC, "slots": 5}, auth=AUTH))
    assert configuration.slots() == {"alpha-sync": 5}
    assert configuration.named() == {"auth": 8080}


def test_a_service_by_its_name_needs_no_slot_that_is_agreed_on() -> None:
    configuration = Configuration.parse("c", files(auth=AUTH))
    desired = Desired(lambda: 0.0)
    there = {"auth": (Endpoint("auth", A, ready=True, terminating=False),)}
    for endpoints in (there, {}):
        servers = desired.servers(configuration, endpoints, lambda _: Ledger())
        assert servers["auth"] == {"s1": Server(A, ON)}


def test_a_service_by_its_name_is_not_forgotten_while_nobody_tells_where_it_is() -> None:
    now = 0.0
    configuration = Configuration.parse("c", files(auth=AUTH))
    desired = Desired(lambda: now)
    desired.recall(configuration, {"auth": {"s1": Server(A, ON)}})
    for seconds in (0.0, FORGET_SECONDS, 3600.0):
        now = seconds
        servers = desired.servers(configuration, {}, lambda _: Ledger())
        assert servers["auth"] == {"s1": Server(A, ON)}
    there = {"auth": (Endpoint("auth", B, ready=True, terminating=False),)}
    servers = desired.servers(configuration, there, lambda _: Ledger())
    assert servers["auth"] == {"s1": Server(B, ON)}


def test_a_configuration_is_loaded_once() -> None:
    choice = Choice(lambda: 0.0)
    assert choice.next("3", loaded=None) == "3"
    assert choice.next("3", loaded="2") == "3"
    assert choice.next("3", loaded="3") is None
    assert choice.next(None, loaded="3") is None


@pytest.mark.parametrize(
    ("told", "slices", "awaited"),
    [
        pytest.param(None, ["1"], False, id="an operator that does not tell is not waited for"),
        pytest.param("2", ["2"], False, id="both are of one revision"),
        pytest.param("2", ["1"], True, id="routes are heard of first"),
        pytest.param("1", ["2"], True, id="addresses are heard of first"),
        pytest.param("2", ["2", "1"], True, id="the slices of both families have to know"),
        pytest.param("2", [None], True, id="a slice is of a time before the label"),
        pytest.param("2", [], True, id="no slice is known"),
    ],
)
def test_routes_and_mains_address_wait_for_each_other(
    told: str | None, slices: list[str | None], awaited: bool
) -> None:
    shown = labels_of(
        [
            *({"metadata": {"labels": {SERVICE_LABEL: "main", "of": each}}} for each in slices),
            {"metadata": {"labels": {SERVICE_LABEL: "sync", "of": "0"}}},
        ],
        "main",
        "of",
    )
    assert Meeting(lambda: 100.0).is_awaited(told, shown) is awaited


def test_routes_and_mains_address_wait_for_each_other_anew_but_never_for_long() -> None:
    now = 100.0
    meeting, one = Meeting(lambda: now), frozenset({"1"})
    assert meeting.is_awaited("2", one)
    now += MEET_SECONDS - 0.1
    assert meeting.is_awaited("2", one)
    now += 0.1
    assert not meeting.is_awaited("2", one)
    assert meeting.is_awaited("3", one)
    now += MEET_SECONDS
    assert not meeting.is_awaited("3", one)
    assert not meeting.is_awaited("1", one)
    assert meeting.is_awaited("3", one)


def test_a_refused_configuration_is_tried_again_later_another_one_at_once() -> None:
    now = 0.0
    choice = Choice(lambda: now)
    choice.refuse("2", "why")
    assert choice.next("2", loaded="1") is None
    assert choice.next("3", loaded="1") == "3"
    now = REFUSED_SECONDS
    assert choice.next("2", loaded="1") == "2"
    choice.accept()
    assert choice.refused == {}


PROCESSES = """#<PID>          <type>          <reloads>       <uptime>        <version>
27647           master          1 [failed: 0]   0d00h00m32s     2.6.12-1+deb12u4
# workers
30502           worker          0               0d00h00m00s     2.6.12-1+deb12u4
# old workers
27663           worker          1               0d00h00m33s     2.6.12-1+deb12u4
# programs

"""


def test_the_masters_processes_are_read() -> None:
    assert parse_processes(PROCESSES) == [Worker(30502, current=True), Worker(27663, current=False)]


def test_the_log_names_the_pod_that_stays_of_two_at_one_address() -> None:
    endpoints = {
        "x": (Endpoint("z-old", A, ready=False, terminating=True),),
        "y": (
            Endpoint("new", A, ready=True, terminating=False),
            Endpoint("end", B, ready=False, terminating=True),
        ),
    }
    wanted = pods.by_address(endpoints)
    assert wanted == {A.ip: "new", B.ip: "end"}
    listed = "# id (file) description\n4 (/x/pods.map) pattern loaded\n5 (get.map) pattern\n"
    assert pods.find(listed, "pods.map") == "#4"
    assert pods.find(listed, "other.map") is None
    live = pods.parse("0x55 10.0.0.1 old\n0x56 10.0.0.9 gone\n\n")
    assert list(pods.commands("#4", live, wanted)) == [
        "set map #4 10.0.0.1 new",
        "add map #4 10.0.0.2 end",
        "del map #4 10.0.0.9",
    ]
    assert pods.text(wanted) == "10.0.0.1 new\n10.0.0.2 end\n"


ENVIRONMENT = {
    "HOMESERVER_NAMESPACE": "chat",
    "HOMESERVER_NAME": "alpha",
    "POD_NAME": "alpha-router-0",
    "KUBERNETES_SERVICE_HOST": "10.96.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
}


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(SettingError, match=name):
        Settings.read({**ENVIRONMENT, name: ""})


@pytest.mark.parametrize(
    ("host", "url"),
    [
        pytest.param("10.96.0.1", "https://10.96.0.1:443", id="IPv4"),
        pytest.param("fd00::1", "https://[fd00::1]:443", id="IPv6"),
    ],
)
def test_the_api_server_is_found(host: str, url: str) -> None:
    settings = Settings.read({**ENVIRONMENT, "KUBERNETES_SERVICE_HOST": host})
    assert settings.server == url
    assert (settings.service, settings.ledger) == ("alpha-router", "alpha-router-slots")
