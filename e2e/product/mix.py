"""What people's clients ask, one request of a kind at a time, and what the next one needs to know.

Knows nothing of time, and sends nothing.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import quote

from e2e.product.matrix import User, picture

SYNC_MILLISECONDS: Final = 10_000
TYPING_MILLISECONDS: Final = 1000

KINDS: Final = ("send", "read", "typing", "rules")
"""What a few people ask who only talk."""

FEDERATION: Final = ("transaction", "query")
"""What another server asks that is known."""

EVERY_KIND: Final = (
    *("send", "read", "typing", "receipt", "profile", "upload", "download", "login"),
    *("version", "keys", "rules", *FEDERATION),
)
"""Of all that can be asked at a rate."""

ELSEWHERE: Final = "elsewhere.invalid"
"""The name of that server."""

POLLS: Final = ("sync", "sliding")
"""Long polls, old and new: each client has one under way all the time."""

NEEDS: Final = {"receipt": "send", "download": "upload"}
"""What must have been answered once before a kind can be asked."""

SLIDING = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
_CLIENT = "/_matrix/client/v3"
_LISTS: Final = {"all": {"ranges": [[0, 9]], "required_state": [], "timeline_limit": 10}}


class Request(NamedTuple):
    """Method, path with query, and body: bytes are a picture, everything else JSON."""

    method: str
    path: str
    body: Any = None


class Mix:
    """The requests of people who are all in one room."""

    def __init__(self, room: str) -> None:
        self._room = f"{_CLIENT}/rooms/{quote(room, safe='')}"
        self._number = 0
        self._event = ""
        self._media = ""
        self._picture = picture()

    def request(self, kind: str, user: User) -> Request:
        """The next request of a kind."""
        if kind in {"send", "transaction"}:
            return self._numbered(kind)
        if kind == "typing":
            body = {"typing": True, "timeout": TYPING_MILLISECONDS}
            return Request("PUT", f"{self._room}/typing/{quote(user.id, safe='')}", body)
        if kind == "receipt":
            return Request("POST", f"{self._room}/receipt/m.read/{quote(self._event, safe='')}", {})
        if kind == "upload":
            return Request("POST", "/_matrix/media/v3/upload?filename=e2e.png", self._picture)
        if kind == "login":
            return Request("POST", f"{_CLIENT}/login", _login(user))
        return Request("GET", self._read_path(kind, user))

    def _numbered(self, kind: str) -> Request:
        self._number += 1
        transaction = f"t{self._number}-{id(self):x}"
        if kind == "transaction":
            return Request("PUT", f"/_matrix/federation/v1/send/{transaction}", _transaction())
        path = f"{self._room}/send/m.room.message/{transaction}"
        return Request("PUT", path, {"msgtype": "m.text", "body": f"message {self._number}"})

    def _read_path(self, kind: str, user: User) -> str:
        return {
            "read": f"{self._room}/joined_members",
            "rules": f"{_CLIENT}/pushrules/",
            "profile": f"{_CLIENT}/profile/{quote(user.id, safe='')}",
            "download": f"/_matrix/client/v1/media/download/{self._media}",
            "version": "/_matrix/federation/v1/version",
            "keys": "/_matrix/key/v2/server",
            "query": f"/_matrix/federation/v1/query/profile?user_id={quote(user.id, safe='')}",
        }[kind]

    def poll(self, kind: str, since: str) -> Request:
        """A long poll that goes on where the one before ended; '' begins."""
        path = f"?timeout={SYNC_MILLISECONDS if since else 0}"
        if kind == "sync":
            path += f"&since={quote(since, safe='')}" if since else ""
            return Request("GET", f"{_CLIENT}/sync{path}")
        path += f"&pos={quote(since, safe='')}" if since else ""
        return Request("POST", f"{SLIDING}{path}", {"conn_id": "e2e", "lists": _LISTS})

    def learn(self, kind: str, content: Any) -> None:
        """What the answer to a request tells for later ones."""
        if kind == "send":
            self._event = content.get("event_id", self._event)
        if kind == "upload":
            self._media = str(content.get("content_uri", "")).removeprefix("mxc://") or self._media


def next_of(kind: str, content: Any) -> str:
    """Where the next long poll goes on."""
    return str(content["next_batch" if kind == "sync" else "pos"])


def _transaction() -> Any:
    """News of somebody whom nobody here knows."""
    presence = {"user_id": f"@somebody:{ELSEWHERE}", "presence": "online"}
    edu = {"edu_type": "m.presence", "content": {"push": [presence]}}
    return {"origin": ELSEWHERE, "origin_server_ts": 0, "pdus": [], "edus": [edu]}


def _login(user: User) -> Any:
    """A login on a device of its own, which is the same each time: thousands would slow /sync."""
    return {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.name},
        "password": user.password,
        "device_id": "AGAIN",
    }
