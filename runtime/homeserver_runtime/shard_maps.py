"""Digests of the shard maps in Synapse's parsed configuration: who writes, who sends, who pushes.

What a process really goes by, not what somebody wrote down for it: two processes that share a
fence's map have the same digest, and digests that differ mean that they must not run together.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import attr

_MAIN = "master"
"""Main's name in shard maps. The instance map of main's own configuration calls it `main`."""


def shard_maps(config: Any) -> dict[str, str]:
    """By fence, a digest of each map that this process knows.

    Every process knows the stream writers and whom the instance map lists; not where: hosts carry
    the epoch in their names. Senders and pushers are known to main and to themselves.
    """
    worker = config.worker
    names = {_MAIN, *worker.instance_map}
    topology = {
        "stream_writers": {
            stream: [_main(name) for name in writers]
            for stream, writers in attr.asdict(worker.writers).items()
        },
        "instances": sorted({_main(name) for name in names}),
    }
    maps = {"topology": _digest(topology)}
    for fence, sharded in (
        ("federation", worker.federation_shard_config),
        ("push", worker.pusher_shard_config),
    ):
        if _knows(worker, sharded.instances):
            # In their order: it decides who has which share.
            maps[fence] = _digest(list(sharded.instances))
    return maps


def _knows(worker: Any, instances: list[str]) -> bool:
    """Whether a list is this process's own setting: a worker without one takes it to be main."""
    return bool(instances) and (worker.worker_app is None or instances != [_MAIN])


def _main(name: str) -> str:
    return _MAIN if name == "main" else name


def _digest(document: object) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
