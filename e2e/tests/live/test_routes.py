"""Every kind of request is answered by the process that must answer it."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from e2e.product.kube import Object
from e2e.product.matrix import User, picture
from e2e.product.plain import Answer
from e2e.product.plugin import plugin
from e2e.product.requests import answered
from e2e.product.routes import MAIN, Sample, class_of, samples
from e2e.tests.live.topology import Live

pytestmark = pytest.mark.cluster

AT_ONCE = 8
CLASSES = sorted({class_of(sample.path) for sample in samples()})


@dataclass(frozen=True)
class Outcome:
    """A request, its answer, and the groups whose processes logged it."""

    sample: Sample
    answer: Answer
    groups: frozenset[str]

    def __str__(self) -> str:
        return (
            f"{self.sample.method} {self.sample.path}: {self.answer.status} {self.answer.content}, "
            f"answered by {', '.join(sorted(self.groups)) or 'nobody'}"
        )


@pytest.fixture(scope="module")
def outcomes(live: Live) -> list[Outcome]:
    """Every request of the file, sent through the Ingress with a user's own token."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    sent = asyncio.run(_send_all(live))
    seen: dict[str, set[str]] = {}
    for request in answered(live.full.kube, since, homeserver=live.full.name):
        seen.setdefault(request.agent, set()).add(request.group)
    return [
        Outcome(sample, answer, frozenset(seen.get(agent, ())))
        for agent, (sample, answer) in sent.items()
    ]


@pytest.mark.parametrize("route_class", CLASSES)
def test_answered_by_the_group_that_claims_it(
    live: Live, outcomes: list[Outcome], route_class: str
) -> None:
    expected = frozenset({_claiming(live.full.resource, route_class)})

    strays = [
        str(outcome)
        for outcome in outcomes
        if class_of(outcome.sample.path) == route_class and outcome.groups != expected
    ]

    assert strays == []


def test_understood_by_whoever_answers(outcomes: list[Outcome]) -> None:
    assert [str(o) for o in outcomes if o.answer.error == "M_UNRECOGNIZED"] == []


def test_answered_without_a_failure(outcomes: list[Outcome]) -> None:
    assert [str(o) for o in outcomes if o.answer.status >= 500] == []


def test_the_plugin_sees_each_request_where_it_belongs(live: Live) -> None:
    """As users have it: without an account, against the running homeserver and its pods' logs."""
    done = _verify(live)
    found = json.loads(done.stdout)
    assert done.returncode == 0, [e for e in found["endpoints"] if e["verdict"] != "ok"]
    assert len(found["endpoints"]) > 100
    assert all(e["answered"] == e["expected"] for e in found["endpoints"] if e["verdict"] == "ok")


def _verify(live: Live) -> subprocess.CompletedProcess[str]:
    ingress, host = live.full.installation.cluster.ingress, live.full.host
    options = ("--url", f"http://{ingress}", "--host", host, "--output", "json")
    return plugin(live.full, "verify", *options)


def _claiming(resource: Object, route_class: str) -> str:
    """The one group that writes the stream, else the one that serves the class, else main."""
    if route_class == MAIN:
        return MAIN
    for claim in ("writes", "serves"):
        groups = [g["name"] for g in resource["spec"]["workers"] if route_class in g.get(claim, ())]
        if groups:
            (group,) = groups
            return str(group)
    raise AssertionError(f"no group claims {route_class}")


async def _send_all(live: Live) -> dict[str, tuple[Sample, Answer]]:
    """Each request and its answer, by the name that the client gave itself for this one."""
    async with live.pair() as (alice, bob, room):
        values = {
            "room": room,
            "spare": await alice.create_room("a room to leave"),
            "alias": f"#{secrets.token_hex(4)}:{live.full.server_name}",
            "event": await alice.send(room, "a word"),
            "user": alice.id,
            "peer": bob.id,
            "device": alice.device,
            "server": live.full.server_name,
            "media": (await alice.upload(picture())).rpartition("/")[2],
        }
        requests = {f"e2e-{i}": sample.filled(values) for i, sample in enumerate(samples())}
        limit = asyncio.Semaphore(AT_ONCE)

        async def send(agent: str, sample: Sample) -> Answer:
            async with limit:
                return await _send(alice, agent, sample)

        answers = await asyncio.gather(*(send(a, s) for a, s in requests.items()))
        return {
            agent: (sample, answer)
            for (agent, sample), answer in zip(requests.items(), answers, strict=True)
        }


async def _send(user: User, agent: str, sample: Sample) -> Answer:
    marked = sample.filled({"mark": agent})
    return await user.call(marked.method, marked.target, marked.content, agent=agent)
