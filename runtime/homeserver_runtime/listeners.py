"""Which of Synapse's listeners are for whom, as its parsed configuration has them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ANY_IPV4 = "0.0.0.0"  # noqa: S104 - recognised here, chosen by the configuration
_INTERNAL = frozenset({"replication", "metrics", "health"})


def listeners(config: Any) -> Iterator[Any]:
    """The process's own listeners; main and workers keep theirs in different places."""
    worker = config.worker.worker_app is not None
    yield from config.worker.worker_listeners if worker else config.server.listeners


def serves_peers(listener: Any) -> bool:
    """Whether only other processes, and those that watch, ask there: no client does."""
    return (
        listener.http_options is not None
        and {name for part in listener.http_options.resources for name in part.names} <= _INTERNAL
    )
