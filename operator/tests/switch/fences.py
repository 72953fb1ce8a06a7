"""The homeserver's database and the launchers that enter it, by docs/fences.md.

Each method is one atomic step. What `runtime/tests/fence_model.py` explores in full for one
fence is here for several, inside pods.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import yaml

Phase = Literal["warming", "waiting", "entered", "serving", "superseded", "draining", "ended"]


@dataclass(frozen=True)
class Launch:
    """What a process reads of its ConfigMap: who it is, and what it believes of the others."""

    name: str
    role: str
    revision: str
    fences: Mapping[str, int]
    homeserver: Mapping[str, Any]
    secret: str = ""
    """A digest of the replication secret."""
    contents: Mapping[str, str] = field(default_factory=dict)

    @property
    def instance(self) -> str:
        """Its name in Synapse's lists."""
        return "master" if self.role == "main" else self.name

    @property
    def maps(self) -> dict[str, str]:
        """Digests of the maps that must not differ between processes that read them."""
        lists = self.homeserver
        maps: dict[str, Any] = {
            "topology": (lists.get("stream_writers"), lists.get("instance_map"))
        }
        for fence, key in (
            ("federation", "federation_sender_instances"),
            ("push", "pusher_instances"),
        ):
            if self.role == "main" or self.instance in (lists.get(key) or ()):
                maps[fence] = lists.get(key)
        return {name: digest(value) for name, value in maps.items()}

    @property
    def calls(self) -> frozenset[str]:
        """Hosts at which it calls others."""
        others = (self.homeserver.get("instance_map") or {}).values()
        return frozenset(where["host"] for where in others)

    @property
    def beliefs(self) -> dict[str, str]:
        """Digests of everything that must not differ between processes."""
        redis = self.homeserver.get("redis") or {}
        where = [redis.get(name) for name in ("host", "port", "dbid")]
        return self.maps | {"redis": digest(where), "the replication secret": self.secret}

    @property
    def duties(self) -> Iterator[str]:
        """Duties of one process that this one believes to have."""
        for key in (
            "run_background_tasks_on",
            "update_user_directory_from_worker",
            "notify_appservices_from_worker",
        ):
            if self.homeserver.get(key, "master") == self.instance:
                yield key


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]


@cache
def parsed(text: str) -> Any:
    return yaml.load(text, yaml.CSafeLoader)


@dataclass
class Session:
    """One connection as the server sees it. `lock` is the one that holds the name."""

    number: int
    pod: str
    launch: Launch
    lock: bool
    cut: bool = False
    """Its client is gone or has let go of it; the server will notice."""


@dataclass
class Database:
    """Sessions by number, and the highest epoch of each fence that was ever entered.

    `contents` is what its processes agreed on.
    """

    sessions: dict[int, Session] = field(default_factory=dict)
    recorded: dict[str, int] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    opened: int = 0

    def open(self, pod: str, launch: Launch, *, lock: bool) -> Session:
        self.opened += 1
        session = Session(self.opened, pod, launch, lock)
        self.sessions[session.number] = session
        return session

    def known(self, fence: str) -> int:
        """The highest epoch that lives or ever did."""
        live = [each.launch.fences.get(fence, 0) for each in self.sessions.values()]
        return max([self.recorded.get(fence, 0), *live])

    def record(self, launch: Launch) -> None:
        for fence, epoch in launch.fences.items():
            if epoch > self.recorded.get(fence, 0):
                self.recorded[fence] = epoch
                self.contents[fence] = launch.contents.get(fence, "")

    def superseding(self, launch: Launch) -> tuple[str, int] | None:
        for fence, epoch in sorted(launch.fences.items()):
            known, ours = self.known(fence), launch.contents.get(fence)
            # Nobody enters without being recorded.
            other = known == epoch and ours and self.contents.get(fence, ours) != ours
            if known > epoch or other:
                return fence, known
        return None

    def blocking(self, launch: Launch) -> Session | None:
        """Somebody of an earlier epoch, or anything of this name."""
        for session in self.sessions.values():
            theirs = session.launch.fences
            older = any(theirs.get(fence, epoch) != epoch for fence, epoch in launch.fences.items())
            if older or session.launch.name == launch.name:
                return session
        return None


@dataclass
class Launcher:
    """One run of a container of ours; `restart` of the container makes a new one."""

    pod: str
    launch: Launch
    phase: Phase = "warming"
    told_to_go: bool = False
    blocker: int = 0
    lock: int = 0
    connection: int = 0
    superseded_by: tuple[str, int] | None = None
    recorded: dict[str, int] = field(default_factory=dict)
    bound: bool = False
    has_run: bool = False
    linger: int = 0

    @property
    def warm(self) -> bool:
        return self.bound or self.phase not in {"warming", "ended"}

    @property
    def fenced(self) -> bool:
        return bool(self.launch.fences)

    def steps(self, database: Database) -> tuple[str, ...]:
        """Names of the methods that may run now."""
        match self.phase:
            case "warming":
                return ("warm_up",)
            case "waiting" if self._may_ask(database):
                return ("enter",)
            case "entered" | "serving" if self.fenced and self.lock not in database.sessions:
                return ("notice_loss",)
            case "entered":
                return ("connect",)
            case "draining":
                return ("drain",)
        return ()

    def _may_ask(self, database: Database) -> bool:
        gone = self.blocker not in database.sessions
        return gone or database.superseding(self.launch) is not None

    def warm_up(self, _database: Database) -> None:
        """Parse, import, bind the sockets."""
        self.phase, self.bound = "waiting", True

    def enter(self, database: Database) -> None:
        """One statement of the server's: superseded, wait, or in."""
        if not self.fenced:
            self.phase = "entered"
            return
        self.superseded_by = database.superseding(self.launch)
        fences = self.launch.fences
        self.recorded = {fence: database.recorded.get(fence, 0) for fence in fences}
        if self.superseded_by and self.has_run:
            self.end(database)
        elif self.superseded_by:
            self.phase, self.bound = "superseded", False
        elif blocker := database.blocking(self.launch):
            self.blocker = blocker.number
        else:
            self.phase, self.has_run = "entered", True
            self.lock = database.open(self.pod, self.launch, lock=True).number
            database.record(self.launch)
            self.recorded = dict(fences)

    def connect(self, database: Database) -> None:
        """Admitted, because its lock session lives: it can write from now on."""
        self.connection = database.open(self.pod, self.launch, lock=False).number
        self.phase = "serving"

    def notice_loss(self, database: Database) -> None:
        """Cut everything and enter anew."""
        self._cut(database)
        self.phase = "waiting"

    def terminate(self, database: Database) -> None:
        """SIGTERM."""
        self.told_to_go = True
        if self.phase in {"entered", "serving"}:
            self.phase, self.bound, self.linger = "draining", False, 2
        elif self.phase != "draining":
            self.end(database)

    def drain(self, database: Database) -> None:
        """Finish requests, then release the fences, then linger with closed ports."""
        self.linger -= 1
        if self.linger == 1:
            for number in (self.connection, self.lock):
                database.sessions.pop(number, None)
            self.connection = self.lock = 0
        elif self.linger <= 0:
            self.end(database)

    def end(self, database: Database) -> None:
        """Exit, or death: what the server still runs for it, runs on for a while."""
        self._cut(database)
        self.phase, self.bound = "ended", False

    def _cut(self, database: Database) -> None:
        for number in (self.connection, self.lock):
            if number in database.sessions:
                database.sessions[number].cut = True
        self.connection = self.lock = 0

    def state(self) -> dict[str, Any]:
        """What GET /state answers."""
        held = self.phase in {"entered", "serving", "draining"} and self.lock
        return {
            "name": self.launch.name,
            "role": self.launch.role,
            "revision": self.launch.revision,
            "phase": {"waiting": "warming", "entered": "migrating"}.get(self.phase, self.phase),
            "waiting_for": "another process" if self.phase == "waiting" else None,
            "synapse": "1.163.2",
            "replication": {
                "connected": self.phase == "serving",
                "caught_up": self.phase == "serving",
            },
            "database": {"schema_version": 94, "max_connections": 100},
            "fences": dict(self.launch.fences) if held else {},
            "superseded_by": (
                dict(zip(("fence", "epoch"), self.superseded_by, strict=True))
                if self.superseded_by
                else None
            ),
            "recorded": dict(self.recorded),
            "shard_maps": self.launch.maps,
            "warm": self.warm,
        }
