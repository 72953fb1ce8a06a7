"""The example answers people, and each request where its topology says."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime

import pytest

from e2e.product.conversation import converse
from e2e.product.homeserver import RunningHomeServer
from e2e.product.requests import answered
from e2e.product.routes import class_of

pytestmark = pytest.mark.cluster


def test_two_people_talk_and_every_request_is_answered_by_its_group(
    running: RunningHomeServer,
) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")

    outcome = asyncio.run(converse(running.installation.cluster.ingress, running.host))

    assert outcome.faithful
    groups = defaultdict(set)
    for request in answered(running.kube, since):
        groups[class_of(request.path)].add(request.group)
    claimed = {
        endpoint_group: {group["name"]}
        for group in running.resource["spec"]["workers"]
        for endpoint_group in group.get("serves", ())
    }
    expected = {
        name: claimed[name] for name in ("sync", "client", "eventSending", "login", "media")
    }
    assert {name: groups[name] for name in expected} == expected
    assert groups["main"] == {"main"}


def test_both_sync_workers_take_part_and_each_device_stays_with_one(
    running: RunningHomeServer,
) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    ingress = running.installation.cluster.ingress

    async def talk() -> None:
        await asyncio.gather(*(converse(ingress, running.host) for _ in range(3)))

    asyncio.run(talk())

    syncs = [r for r in answered(running.kube, since) if class_of(r.path) == "sync"]
    pods_of_device = defaultdict(set)
    for request in syncs:
        pods_of_device[request.requester].add(request.pod)
    assert len({request.pod for request in syncs}) == 2
    assert all(len(pods) == 1 for pods in pods_of_device.values())
