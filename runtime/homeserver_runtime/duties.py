"""What a process can answer, told from Synapse's parsed configuration. Pure.

Every worker answers most requests, but some only whoever writes a stream, or has the resource among
its listeners'. Who has all the duties of another can be asked in its place.
"""

from __future__ import annotations

from typing import Any

import attr

from homeserver_runtime.listeners import listeners


def duties(config: Any) -> tuple[str, ...]:
    """The duties, sorted; words of no meaning but to be compared."""
    worker = config.worker
    # Main has two names in Synapse's settings. It could answer for workers, but not for all.
    role, names = ("worker", {worker.worker_name}) if worker.worker_app else ("main", _MAIN)
    streams = (
        f"writes {stream}"
        for stream, writers in attr.asdict(worker.writers).items()
        if not names.isdisjoint(writers)
    )
    resources = (
        f"has {name}"
        for listener in listeners(config)
        if listener.http_options is not None
        for part in listener.http_options.resources
        for name in part.names
    )
    return tuple(sorted({role, *streams, *resources}))


_MAIN = {"main", "master"}
