"""Answers the kubelet and the operator from a thread of its own, from exec on.

The reactor cannot do it: a migration blocks it for minutes, and a process that is killed for that
starts over. Judges what `State` holds; never blocks on Synapse, PostgreSQL or Redis.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from homeserver_runtime.state import State

REACTOR_SILENCE_SECONDS = 60.0
"""A reactor that ran and then gave no sign of life for so long is stuck for good."""

CUT_OFF_SECONDS = 15.0
"""How long a process may be the only one without Redis and stay ready. Synapse reconnects within
5 s and has caught up some seconds later; without this, a restart of Redis would make every process
unready at once."""

_REQUEST_SECONDS = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """An answer of a probe, and why; `details` are for people who look."""

    ok: bool
    reason: str
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The answer's body."""
        return {"reason": self.reason, **self.details}


class Judge:
    """Says what the probes answer."""

    def __init__(self, state: State, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._state = state
        self._clock = clock
        self._cut_off_seconds: Callable[[], float | None] | None = None
        self._lock = threading.Lock()
        self._took_part = False

    def watch_redis(self, cut_off_seconds: Callable[[], float | None]) -> None:
        """From now on readiness asks for replication; `cut_off_seconds` as RedisWatch has it."""
        self._cut_off_seconds = cut_off_seconds

    def started(self) -> Verdict:
        """Warm: imports done, configuration accepted."""
        if self._state.now.warm:
            return Verdict(ok=True, reason="warm")
        return Verdict(ok=False, reason="warming up")

    def ready(self) -> Verdict:
        """Synapse serves, and replication is connected and caught up.

        A process that once took part stays ready while nobody has Redis, and while it catches up
        after a reconnect: taking every process out of service helps no client.
        """
        now = self._state.now
        if now.phase != "serving":
            waiting = f", waiting for {now.waiting_for}" if now.waiting_for else ""
            return Verdict(ok=False, reason=f"{now.phase}{waiting}")
        if self._cut_off_seconds is None:
            return Verdict(ok=True, reason="serving; replication is not configured")
        with self._lock:
            return self._judge_replication(self._cut_off_seconds())

    def _judge_replication(self, cut_off_seconds: float | None) -> Verdict:
        replication = self._state.now.replication
        if replication.caught_up:
            self._took_part = True
            return Verdict(ok=True, reason="serving")
        if replication.connected:
            behind = f"not caught up with {', '.join(replication.missing)}"
            return Verdict(ok=self._took_part, reason=f"replication {behind}")
        if cut_off_seconds is None and self._took_part:
            return Verdict(
                ok=True, reason="replication is not connected, and Redis answers no ping either"
            )
        if cut_off_seconds is None or cut_off_seconds < CUT_OFF_SECONDS:
            return Verdict(ok=self._took_part, reason="replication is not connected to Redis yet")
        self._took_part = False
        return Verdict(
            ok=False,
            reason="replication is not connected to Redis, which answers pings: "
            "this process alone is cut off",
        )

    def live(self) -> Verdict:
        """The reactor makes progress; until it first runs, being there is enough."""
        now = self._state.now
        if now.heartbeat is None:
            details: dict[str, Any] = {"phase": now.phase, "heartbeat_age": None}
            return Verdict(ok=True, reason=now.phase, details=details)
        silence = self._clock() - now.heartbeat
        details = {"phase": now.phase, "heartbeat_age": round(silence, 1)}
        if silence > REACTOR_SILENCE_SECONDS:
            reason = f"the reactor has been stuck for {silence:.0f} s"
            return Verdict(ok=False, reason=reason, details=details)
        return Verdict(ok=True, reason="the reactor runs", details=details)


class _Handler(BaseHTTPRequestHandler):
    timeout = _REQUEST_SECONDS
    server: ProbeServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/state":
            self._answer(200, self.server.state.now.document())
            return
        question = self.server.questions.get(path)
        if question is None:
            known = ", ".join([*self.server.questions, "/state"])
            self._answer(404, {"reason": f"no such path; there are {known}"})
            return
        verdict = question()
        self._answer(200 if verdict.ok else 503, verdict.document())

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing: several probes a minute are no news."""


class ProbeServer(ThreadingHTTPServer):
    """Serves a Judge's verdicts and the state on every address of the pod."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, state: State, judge: Judge) -> None:
        self.state = state
        self.questions: dict[str, Callable[[], Verdict]] = {
            "/started": judge.started,
            "/ready": judge.ready,
            "/live": judge.live,
        }
        if socket.has_dualstack_ipv6():
            self.address_family = socket.AF_INET6
        super().__init__(("", port), _Handler)

    def server_bind(self) -> None:
        """Binds for IPv6 and IPv4 alike."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer's: that asks the DNS for a name nobody needs, and may wait for it.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of an asker that has gone: on a busy machine probes do not wait for long."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def start(self) -> None:
        """Answers from now on, in a daemon thread."""
        threading.Thread(target=self.serve_forever, name="probes", daemon=True).start()
