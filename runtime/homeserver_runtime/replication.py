"""What this process sees of replication, and whether it is alone in not seeing it.

`observe` runs in the reactor's thread; `RedisWatch` is a thread of its own, because a Redis that
hangs must delay neither Synapse nor a probe.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import redis
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError

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


def redis_client(settings: Any) -> redis.Redis:
    """A client of its own for the Redis that Synapse's parsed configuration names."""
    options: dict[str, Any] = {
        "db": settings.redis_dbid or 0,
        "username": settings.redis_username,
        "password": settings.redis_password,
        "socket_timeout": _ANSWER_SECONDS,
        "socket_connect_timeout": _ANSWER_SECONDS,
    }
    if settings.redis_path is not None:
        return redis.Redis(unix_socket_path=settings.redis_path, **options)
    if settings.redis_use_tls:
        options |= {
            "ssl": True,
            "ssl_certfile": settings.redis_certificate,
            "ssl_keyfile": settings.redis_private_key,
            "ssl_ca_certs": settings.redis_ca_file,
            "ssl_ca_path": settings.redis_ca_path,
        }
    return redis.Redis(host=settings.redis_host, port=settings.redis_port, **options)


def answers(client: redis.Redis) -> bool:
    """Whether anybody at all answers at Redis's address and has its data in memory."""
    try:
        client.ping()
    except BusyLoadingError:
        return False
    except AuthenticationError:
        # redis-py counts this among connection errors, but it is Redis that speaks.
        return True
    except (redis.ConnectionError, redis.TimeoutError):
        return False
    except RedisError:
        return True
    finally:
        client.close()
    return True


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
