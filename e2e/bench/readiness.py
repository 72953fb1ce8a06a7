"""From `kubectl apply` of the example to Ready, and to the first message that somebody hears."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from e2e.bench.rig import installed
from e2e.bench.table import Measurement
from e2e.cluster.api import Cluster
from e2e.cluster.progress import step
from e2e.product.http import wait_answering
from e2e.product.installation import Installation, example
from e2e.product.matrix import User

PASSWORD = "correct horse battery staple"  # noqa: S105 - of a user who lives for a minute


def measure(cluster: Cluster, runs: int) -> Iterator[Measurement]:
    """Measure `runs` times, each in a fresh namespace."""
    times = []
    for number in range(runs):
        namespace = f"bench-ready-{number}"
        with installed(cluster, namespace) as installation, step(f"example, run {number + 1}"):
            times.append(_run(installation))
    yield Measurement("example, apply until Ready", "s", [ready for ready, _ in times])
    heard = [heard for _, heard in times]
    yield Measurement("example, apply until two new users met and one heard the other", "s", heard)


def _run(installation: Installation) -> tuple[float, float]:
    server = example()
    host, ingress = server["spec"]["ingress"]["host"], installation.cluster.ingress
    started = time.monotonic()
    installation.kube.apply(server)
    installation.wait_ready(server["metadata"]["name"])
    ready = time.monotonic() - started
    wait_answering(ingress, host)
    asyncio.run(_meet(ingress, host))
    return ready, time.monotonic() - started


async def _meet(ingress: str, host: str) -> None:
    async with (
        User(ingress=ingress, host=host, name="alice", password=PASSWORD) as alice,
        User(ingress=ingress, host=host, name="bob", password=PASSWORD) as bob,
    ):
        for user in (alice, bob):
            await user.register()
            await user.login()
        room = await alice.create_room("bench")
        await bob.join(room)
        await alice.send(room, "hello")
        await bob.hear(room, {"hello"})
