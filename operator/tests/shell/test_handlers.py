"""What kopf is told, and what it tells us. That it works, see `test_homeserver_watch`."""

import pytest

from homeserver_operator.handlers import HomeServerWatch, is_fresh
from homeserver_operator.kopf_settings import settings
from homeserver_operator.metrics import Metrics
from homeserver_operator.transport import Credentials
from homeserver_operator.watched import Watched


@pytest.mark.parametrize(
    ("generation", "observed", "event", "fresh"),
    [
        pytest.param(1, None, "ADDED", True, id="a new one"),
        pytest.param(1, None, None, True, id="a new one found at the start"),
        pytest.param(3, 2, "MODIFIED", True, id="an edit"),
        pytest.param(3, 2, None, True, id="an edit from while nobody looked"),
        pytest.param(3, 3, "MODIFIED", False, id="our own status"),
        pytest.param(3, 3, None, False, id="a known one found at the start"),
        pytest.param(3, 2, "DELETED", False, id="a deletion"),
    ],
)
def test_fresh_is_what_the_status_does_not_answer_yet(
    generation: int, observed: int | None, event: str | None, fresh: bool
) -> None:
    body = {"metadata": {"generation": generation}, "status": {"observedGeneration": observed}}

    assert is_fresh(body, event) is fresh


async def test_kopf_knows_one_event_handler_and_nothing_that_writes(metrics: Metrics) -> None:
    async def credentials() -> Credentials:
        raise AssertionError

    watch = HomeServerWatch(
        wake=lambda *_: None,
        credentials=credentials,
        namespaces=(),
        watched=Watched((), metrics),
    )
    registry = watch.registry()

    assert len(registry._watching.get_all_handlers()) == 1
    for writing in (registry._changing, registry._spawning, registry._webhooks):
        assert registry_is_empty(writing)


def registry_is_empty(registry: object) -> bool:
    return not registry.get_all_handlers()  # type: ignore[attr-defined]


def test_kopf_neither_peers_nor_posts_nor_scans() -> None:
    configured = settings()

    assert configured.peering.standalone
    assert not configured.posting.enabled
    assert configured.scanning.disabled
    assert configured.queueing.worker_limit is None
