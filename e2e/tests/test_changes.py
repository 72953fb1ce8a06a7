"""An edit restarts the processes that it concerns, and no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from e2e.product.homeserver import RunningHomeServer
from e2e.product.kube import Object

pytestmark = pytest.mark.cluster


def _group(spec: Object, name: str) -> Object:
    return next(group for group in spec["workers"] if group["name"] == name)


def _scale_sync(spec: Object) -> None:
    _group(spec, "sync")["replicas"] = 3


def _media_option(spec: Object) -> None:
    spec["config"]["max_upload_size"] = "20M"


def _group_option(spec: Object) -> None:
    _group(spec, "persister")["config"] = {"event_cache_size": "20K"}


def _log_level(spec: Object) -> None:
    _group(spec, "media")["logLevel"] = "WARNING"


@pytest.mark.parametrize(
    ("edit", "restarted"),
    [
        pytest.param(_scale_sync, set(), id="scaling the sync group restarts nobody"),
        pytest.param(
            _media_option, {"media-0"}, id="an option of media restarts the media repository only"
        ),
        pytest.param(
            _group_option, {"persister-0"}, id="an option of one group restarts this group only"
        ),
        pytest.param(_log_level, {"media-0"}, id="a group's log level restarts this group only"),
    ],
)
def test_who_restarts(
    homeserver: RunningHomeServer, edit: Callable[[Object], None], restarted: set[str]
) -> None:
    before = homeserver.pods()

    homeserver.apply(homeserver.edited(edit))
    homeserver.wait_ready()

    after = homeserver.pods()
    # Every pod of before is still there, unless its process is one of those that restart.
    gone = {process for process in before if not before[process] <= after.get(process, set())}
    assert gone == restarted


def test_a_scaled_group_serves_with_all_its_pods(homeserver: RunningHomeServer) -> None:
    homeserver.apply(homeserver.edited(_scale_sync))
    homeserver.wait_ready()

    assert len(homeserver.pods()["sync"]) == 3
    assert homeserver.live()["status"]["workers"] == "7/7"
