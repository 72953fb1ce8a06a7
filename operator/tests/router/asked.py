"""A homeserver that is asked whose a token is, behind the rig's HAProxy."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.router.rig import Proxy, Servers, proxy, servers
from tests.router.samples import files, sample, with_router

from homeserver_operator.render.router.whoami import PATH

SYNC = "/_matrix/client/v3/sync?since=s1"
CAPABILITIES = "/_matrix/client/v3/capabilities"
BOT = "@bridge:maple.example"


def bearer(token: str, **more: str) -> dict[str, str]:
    """The headers of a request with a token."""
    return {"Authorization": f"Bearer {token}", **more}


@dataclass
class Homeserver:
    """Knows these users by their tokens, and notes who has asked."""

    users: dict[str, str]
    asked: list[Mapping[str, str]] = field(default_factory=list)
    """The headers of each lookup, names in lower case."""
    most_at_once: int = 0
    delay: float = 0.0
    answers: Callable[[BaseHTTPRequestHandler], None] | None = None
    """Answers lookups in another way."""
    at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def special(self, handler: BaseHTTPRequestHandler) -> bool:
        """Answer a lookup."""
        if handler.path != PATH:
            return False
        with self._lock:
            self.asked.append({name.lower(): value for name, value in handler.headers.items()})
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.delay)
        # Before it is answered, or the next one may come in between.
        with self._lock:
            self.at_once -= 1
        (self.answers or self._answer)(handler)
        return True

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        user = self.users.get(handler.headers["Authorization"].removeprefix("Bearer "))
        body = {"user_id": user, "is_guest": False} if user else {"errcode": "M_UNKNOWN_TOKEN"}
        say(handler, 200 if user else 401, json.dumps(body).encode())


def say(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    """Answer with a body."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def asking(
    program: Path,
    directory: Path,
    users: Mapping[str, str],
    *,
    workers: int = 4,
    change: Callable[[str], str] = lambda lua: lua,
    **spec: Any,
) -> Iterator[tuple[Proxy, Homeserver, Servers]]:
    """A router that asks, and whom it asks; `change` is made to its script."""
    found = sample("whoami")
    body = with_router(dict(found.body), **{"whoami": {}, **spec})
    written = files(type(found)(found.name, body, found.users))
    written = {**written, "whoami.lua": change(written["whoami.lua"])}
    homeserver = Homeserver(dict(users))
    with servers() as behind:
        behind.special = homeserver.special
        with proxy(
            program, written, directory, behind.port, members=lambda _backend: workers
        ) as it:  # fmt: skip
            yield it, homeserver, behind
