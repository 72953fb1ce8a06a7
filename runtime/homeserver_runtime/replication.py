"""What this process sees of replication, and whether it is alone in not seeing it.

`observe` runs in the reactor's thread; `RedisWatch` is a thread of its own, because a Redis that
hangs must delay neither Synapse nor a probe.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from homeserver_runtime.state import Replication, State

if TYPE_CHECKING:
    from collections.abc import Callable

# Nobody announces a position of these: every process writes `caches`, and `federation` has a
# writer only where main does not send federation itself.
_WITHOUT_POSITION = frozenset({"caches", "federation"})

_ANSWER_SECONDS = 2.0
_INTERVAL_SECONDS = 1.0


def observe(homeserver: Any) -> Replication:
    """Where a running homeserver stands; to be called in the reactor's thread.

    Reads two private attributes of Synapse's command handler, which has no other way to tell.
    """
    handler = homeserver.get_replication_command_handler()
    if not handler.connected():
        return Replication(connected=False)
    own = {stream.NAME for stream in handler.get_streams_to_replicate()}
    others = set(handler.get_streams()) - own - _WITHOUT_POSITION
    seen = set().union(*handler._streams_by_connection.values())
    queues = handler._command_queues_by_stream
    behind = {name for name in others if name not in seen or len(queues[name])}
    return Replication(connected=True, missing=tuple(sorted(behind)))


def redis_answers(settings: Any) -> bool:
    """Whether anybody serves at the Redis address of Synapse's parsed configuration.

    Not through a client library: those here cannot be used outside the reactor, and another one
    costs each process 22 MB. A refusal for want of a password is an answer, so none is sent.
    """
    try:
        with _connect(settings) as connection:
            connection.sendall(b"PING\r\n")
            reply = connection.recv(64)
    except OSError:
        return False
    # While it loads its data, or has lost its own primary, Redis is of no use to anybody.
    return bool(reply) and not reply.startswith((b"-LOADING", b"-MASTERDOWN"))


def _connect(settings: Any) -> socket.socket:
    if settings.redis_path is not None:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(settings.redis_path)
        return connection
    address = settings.redis_host, settings.redis_port
    connection = socket.create_connection(address, timeout=_ANSWER_SECONDS)
    if not settings.redis_use_tls:
        return connection
    context = ssl.create_default_context()
    # The question is whether anybody is there; whom Synapse trusts is Synapse's to check.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if settings.redis_certificate:
        context.load_cert_chain(settings.redis_certificate, settings.redis_private_key)
    return context.wrap_socket(connection, server_hostname=settings.redis_host)


class RedisWatch:
    """Measures for how long this process has been cut off from a Redis that answers."""

    def __init__(
        self,
        state: State,
        ping: Callable[[], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        self._ping = ping
        self._clock = clock
        self._alone_since: float | None = None

    def start(self) -> None:
        """Looks about once a second until the process ends."""
        threading.Thread(target=self._watch, name="redis-watch", daemon=True).start()

    def look(self) -> None:
        """One look: asks Redis only while this process is not connected."""
        if self._state.now.replication.connected or not self._ping():
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = self._clock()

    def cut_off_seconds(self) -> float | None:
        """Seconds since Redis answers though this process is not connected, else None."""
        since = self._alone_since
        return None if since is None else self._clock() - since

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(_INTERVAL_SECONDS):
            self.look()
