"""Edits of a spec and the processes that must restart for them, by Synapse's documentation.

Written down from the document's own words and from what Synapse reads, not from what the operator
renders. Processes that come or go are not in the table; everybody else who is not named must keep
its pods.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.core import worlds

from homeserver_operator.api.spec import parse
from homeserver_operator.api.world import Object
from homeserver_operator.topology import make_topology

Spec = dict[str, Any]

SYNC = {"name": "sync", "replicas": 2, "serves": ["sync"]}
CLIENT = {"name": "client", "replicas": 1, "serves": ["client"]}
NIGHT = {"name": "night", "runs": ["backgroundTasks"]}
DAY = {"name": "day", "runs": ["userDirectory"]}


def persister(replicas: int, name: str = "persister") -> Spec:
    return {"name": name, "replicas": replicas, "writes": ["events"]}


def sender(replicas: int) -> Spec:
    return {"name": "sender", "replicas": replicas, "runs": ["federationSender"]}


def pusher(replicas: int) -> Spec:
    return {"name": "pusher", "replicas": replicas, "runs": ["pusher"]}


USUAL = [SYNC, CLIENT, persister(1), sender(1)]
ALL = frozenset({"main", "sync", "client", "persister-0", "sender-0"})


@dataclass(frozen=True)
class Edit:
    """From one list of workers to another; `also` are other fields of the spec."""

    before: list[Spec]
    after: list[Spec]
    restarts: frozenset[str]
    also: Spec = field(default_factory=dict)


def _edit(
    restarts: set[str] | frozenset[str],
    *after: Spec,
    before: list[Spec] | None = None,
    **also: Any,
) -> Edit:
    return Edit(before or USUAL, [*after], frozenset(restarts), also)


_READERS = [SYNC, CLIENT]
_TYPING = {"name": "typing", "writes": ["typing"]}
_MORE_SYNC = {"name": "more", "replicas": 1, "serves": ["sync"]}
_LOGIN = {"name": "login", "replicas": 1, "serves": ["login"]}
_COURIER = {"name": "courier", "runs": ["outboundFederation"]}
_SERVING_SENDER = {**sender(1), "serves": ["login"]}

EDITS: dict[str, Edit] = {
    "event persisters 1 to 3: all": _edit(ALL, *_READERS, persister(3), sender(1)),
    "event persisters 3 to 2: all": _edit(
        ALL | {"persister-1"}, *_READERS, persister(2), sender(1),
        before=[*_READERS, persister(3), sender(1)]),
    "the event persisters' group is renamed: all": _edit(
        ALL - {"persister-0"}, *_READERS, persister(1, "keeper"), sender(1)),
    "the first event persister: all": _edit(
        ALL - {"persister-0"}, *_READERS, persister(1), sender(1), before=[*_READERS, sender(1)]),
    "the typing writer moves off main: all": _edit(ALL, *USUAL, _TYPING),
    "the typing writer moves between workers: all": _edit(
        ALL | {"typing-0", "keeper-0"}, *_READERS, persister(1), sender(1),
        {"name": "typing", "writes": ["receipts"]},
        {"name": "keeper", "writes": ["typing", "presence"]},
        before=[*USUAL, {"name": "typing", "writes": ["typing", "receipts"]},
                {"name": "keeper", "writes": ["presence"]}]),
    "federation senders 1 to 2: main and the sender": _edit(
        {"main", "sender-0"}, *_READERS, persister(1), sender(2)),
    "federation senders 2 to 1: main and the one that stays": _edit(
        {"main", "sender-0"}, *_READERS, persister(1), sender(1),
        before=[*_READERS, persister(1), sender(2)]),
    "the last federation sender goes: main": _edit({"main"}, *_READERS, persister(1)),
    "pushers 0 to 2: main": _edit({"main"}, *USUAL, pusher(2)),
    "pushers 2 to 1: main and the one that stays": _edit(
        {"main", "pusher-0"}, *USUAL, pusher(1), before=[*USUAL, pusher(2)]),
    "background tasks move off main: main": _edit({"main"}, *USUAL, NIGHT),
    "background tasks move between workers: main and both": _edit(
        {"main", "night-0", "day-0"}, *USUAL,
        {"name": "night", "runs": ["appservices"]},
        {"name": "day", "runs": ["userDirectory", "backgroundTasks"]},
        before=[*USUAL, {"name": "night", "runs": ["appservices", "backgroundTasks"]}, DAY]),
    "updating the user directory moves off main: main": _edit({"main"}, *USUAL, DAY),
    "telling application services moves back to main: main": _edit(
        {"main"}, *USUAL, before=[*USUAL, {"name": "notify", "runs": ["appservices"]}]),
    "a group that only serves grows: nobody": _edit(
        set(), {**SYNC, "replicas": 4}, *USUAL[1:]),
    "a group that only serves shrinks: nobody": _edit(
        set(), {**SYNC, "replicas": 1}, *USUAL[1:]),
    "another group that only serves: nobody": _edit(
        set(), *USUAL, {"name": "more", "replicas": 1, "serves": ["login"]}),
    "a group that only serves goes: nobody": _edit(set(), SYNC, persister(1), sender(1)),
    "a group that only serves is renamed: nobody": _edit(
        set(), {**SYNC, "name": "syncers"}, *USUAL[1:]),
    "a group is to have nobody, and one that is new has its class: nobody": _edit(
        set(), {**SYNC, "replicas": 0}, *USUAL[1:], {**SYNC, "name": "syncers"}),
    "a second group for a class: the first": _edit({"sync"}, *USUAL, _MORE_SYNC),
    "one of two groups for a class goes: the other": _edit(
        {"sync"}, *USUAL, before=[*USUAL, _MORE_SYNC]),
    "groups that share a class are renamed: nobody": _edit(
        set(), {**SYNC, "name": "syncers"}, *USUAL[1:], {**_MORE_SYNC, "name": "others"},
        before=[*USUAL, _MORE_SYNC]),
    "first syncs get a group of their own: nobody": _edit(
        set(), *USUAL, {"name": "initial", "replicas": 1, "serves": ["initialSync"]}),
    "a class moves to a group that is new: nobody": _edit(
        set(), *USUAL, {"name": "login", "replicas": 2, "serves": ["login"]},
        before=[SYNC, {**CLIENT, "serves": ["client", "login"]}, *USUAL[2:]]),
    "a class moves to one process that is new: nobody": _edit(
        set(), *USUAL, {"name": "login", "serves": ["login", "sso"]},
        before=[SYNC, {**CLIENT, "serves": ["client", "login"]}, *USUAL[2:]]),
    "a process ceases to serve, and a group that is new has its class: that process": _edit(
        {"sender-0"}, *USUAL, _LOGIN, before=[*USUAL[:3], _SERVING_SENDER]),
    "a process ceases to serve, and one that is called by others has its class: both": _edit(
        {"sender-0", "courier-0"}, *USUAL, {**_COURIER, "serves": ["login"]},
        before=[*USUAL[:3], _SERVING_SENDER, _COURIER]),
    "a class that groups share moves to one that is new: both": _edit(
        {"sync", "more"}, {**SYNC, "serves": ["pagination"]}, *USUAL[1:],
        {**_MORE_SYNC, "serves": ["login"]}, {**SYNC, "name": "third"},
        before=[{**SYNC, "serves": ["sync", "pagination"]}, *USUAL[1:],
                {**_MORE_SYNC, "serves": ["sync", "login"]}]),
    "a log level: that group": _edit({"sync"}, {**SYNC, "logLevel": "DEBUG"}, *USUAL[1:]),
    "a writer's log level: that writer": _edit(
        {"persister-0"}, *_READERS, {**persister(1), "logLevel": "DEBUG"}, sender(1)),
    "everybody's log level: all": _edit(ALL, *USUAL, logLevel="DEBUG"),
    "an option of everybody: all": _edit(ALL, *USUAL, config={"enable_search": False}),
    "the image: all": _edit(ALL, *USUAL, image="runtime.invalid/synapse:8"),
    "a group is renamed with another image: all": _edit(
        ALL - {"sync"}, {**SYNC, "name": "syncers"}, *USUAL[1:],
        image="runtime.invalid/synapse:8"),
    "a group is to have nobody with another image: all others": _edit(
        ALL - {"sync"}, {**SYNC, "replicas": 0}, *USUAL[1:], image="runtime.invalid/synapse:8"),
    "a group is to have nobody with a second sender: main and the sender": _edit(
        {"main", "sender-0"}, {**SYNC, "replicas": 0}, CLIENT, persister(1), sender(2)),
    "a second group for a class with another image: all": _edit(
        ALL, *USUAL, _MORE_SYNC, image="runtime.invalid/synapse:8"),
    "two writers of receipts move off main: all": _edit(
        ALL, *USUAL, {"name": "receipts", "replicas": 2, "writes": ["receipts"]}),
    "two kinds of lists at once: all": _edit(
        ALL, *_READERS, persister(2), sender(2), pusher(1)),
}  # fmt: skip


def body(workers: list[Spec]) -> dict[str, Any]:
    """A HomeServer with these worker groups and nothing else of its own."""
    usual = worlds.usual()
    return {**usual, "spec": {**usual["spec"], "workers": workers}}


def wanted(homeserver: Object) -> dict[str, int | None]:
    """Pods of each process of Synapse that a HomeServer asks for."""
    processes = make_topology(parse(homeserver)).processes
    return {process.name: process.replicas for process in processes}
