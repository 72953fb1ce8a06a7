"""The same spec means the same bytes, as long as the rendering has the same number.

rendering.lock holds digests of what processes read and of their pod templates, case by case:
`pytest --update-golden` writes it anew, but only for a raised RENDERING or another case.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.core import case

from homeserver_operator.api.canonical import digest
from homeserver_operator.build.rendering import RENDERING

LOCK = Path(__file__).parent / "rendering.lock"

Entries = dict[str, list[str]]


def entries() -> Entries:
    """Of each case: digests of what goes in, and of what comes out."""
    return {name: [_input(name), _output(name)] for name in case.names()}


def _input(name: str) -> str:
    loaded = case.read(name)
    users = {
        f"{key.kind}/{key.name}": {file: data.decode("latin1") for file, data in found.items()}
        for key, found in loaded.users.items()
        if found is not None
    }
    return digest([loaded.body, users])


def _output(name: str) -> str:
    return digest(
        {
            f"{found['kind']}/{found['metadata']['name']}": found["spec"]["template"]
            if found["kind"] == "Deployment"
            else found["data"]
            for found in case.build_all(case.read(name)).all()
            if found["kind"] == "Deployment" or (found["kind"] == "ConfigMap" and "data" in found)
        }
    )


def unasked(lock: Mapping[str, Any], rendering: int, found: Entries) -> list[str]:
    """Cases that come to other bytes, although neither they nor the number have changed."""
    if lock["rendering"] != rendering:
        return []
    before = lock["cases"]
    return [name for name in found if name in before and _restarts(before[name], found[name])]


def _restarts(before: list[str], now: list[str]) -> bool:
    return before[0] == now[0] and before[1] != now[1]


def test_other_bytes_have_another_number(request: pytest.FixtureRequest) -> None:
    found = entries()
    lock = yaml.safe_load(LOCK.read_text())
    changed = unasked(lock, RENDERING, found)
    assert not changed, (
        f"an upgrade would restart what runs: {', '.join(changed)} mean other bytes than before. "
        "If that is meant, raise RENDERING (build/rendering.py) once per release, and run `make "
        "golden`"
    )
    wanted = {"rendering": RENDERING, "cases": found}
    if request.config.getoption("--update-golden"):
        LOCK.write_text(yaml.safe_dump(wanted, default_flow_style=None, sort_keys=True))
        return
    assert lock == wanted, f"{LOCK.name} is not as built: run `make golden`"


LOCKED = {"rendering": 3, "cases": {"oak": ["a", "b"]}}


@pytest.mark.parametrize(
    ("rendering", "found", "refused"),
    [
        (3, {"oak": ["a", "b"]}, []),
        (3, {"oak": ["a", "c"]}, ["oak"]),
        (4, {"oak": ["a", "c"]}, []),
        (3, {"oak": ["other", "c"]}, []),
        (3, {"oak": ["a", "b"], "fir": ["d", "e"]}, []),
        (3, {}, []),
    ],
    ids=[
        "nothing has changed",
        "other bytes under the same number are refused",
        "another number may mean other bytes",
        "a case that is another one may, too",
        "and so may one that is new",
        "or gone",
    ],
)
def test_the_lock_lets_pass(rendering: int, found: Entries, refused: list[str]) -> None:
    assert unasked(LOCKED, rendering, found) == refused
