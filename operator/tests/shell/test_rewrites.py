"""What is remembered of applies that came out otherwise."""

from typing import Any

import pytest
from tests.shell.conftest import Clock

from homeserver_operator.api.actions import Apply
from homeserver_operator.api.names import SCALE_MANAGER
from homeserver_operator.api.world import Key, ObjectKey
from homeserver_operator.rewrites import TRY_AGAIN, Rewrites

SERVER = Key("chat", "alpha")
KEY = ObjectKey("Service", "alpha-main")
MANIFEST: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "alpha-main"},
    "spec": {"type": "ClusterIP"},
}
OTHER = {**MANIFEST, "spec": {"type": "NodePort"}}


def test_it_is_due_again_after_a_while_and_forgotten_when_it_comes_out_as_applied(
    clock: Clock,
) -> None:
    rewrites = Rewrites(clock)
    rewrites.note(SERVER, Apply(MANIFEST, "uid", "x"), OTHER)
    found = rewrites.known(SERVER)[KEY]
    assert (list(found.fields), found.due) == (["spec.type"], False)
    clock.now += TRY_AGAIN
    assert rewrites.known(SERVER)[KEY].due
    rewrites.note(SERVER, Apply(MANIFEST, "uid", "x", again=True), OTHER)
    assert not rewrites.known(SERVER)[KEY].due
    rewrites.note(SERVER, Apply(MANIFEST, "uid", "x", again=True), MANIFEST)
    assert rewrites.known(SERVER) == {}


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(Apply(MANIFEST, None, "missing"), id="what was just created"),
        pytest.param(Apply(MANIFEST, "uid", "x", SCALE_MANAGER), id="a part of it alone"),
    ],
)
def test_nothing_is_remembered_of(step: Apply) -> None:
    rewrites = Rewrites()
    rewrites.note(SERVER, step, OTHER)
    assert rewrites.known(SERVER) == {}


def test_a_homeserver_that_is_gone_is_forgotten() -> None:
    rewrites = Rewrites()
    rewrites.note(SERVER, Apply(MANIFEST, "uid", "x"), OTHER)
    rewrites.forget(SERVER)
    assert rewrites.known(SERVER) == {}
