"""How the core's stories are told: on which stage, and how many of them when."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import pytest
from tests.core import case
from tests.switch import edits
from tests.switch.edits import Edit
from tests.switch.objects import Objects
from tests.switch.operator import Core, Operator
from tests.switch.simulation import Simulation
from tests.switch.stories import Stage


@dataclass(frozen=True)
class Effort:
    """How many stories are told of one case: seeds, and of `stride` moments one."""

    seeds: range
    stride: int


QUICK = Effort(range(1), 20)
SOAK = Effort(range(2), 1)
SAMPLE = 4
"""So many cases of a table are told quickly; all of them in a soak."""


def told_of(
    names: str, table: Mapping[str, Any], *, sample: int = SAMPLE, soak: Effort = SOAK
) -> pytest.MarkDecorator:
    """Parameters `names` and `effort`."""
    quick = Random(0).sample([*table], min(sample, len(table)))  # noqa: S311 - no secret
    values = {name: each if isinstance(each, tuple) else (each,) for name, each in table.items()}
    return pytest.mark.parametrize(
        f"{names}, effort",
        [pytest.param(*values[name], QUICK, id=name) for name in quick]
        + [
            pytest.param(*each, soak, id=f"{name} (soak)", marks=pytest.mark.soak)
            for name, each in values.items()
        ],
    )


either = pytest.mark.parametrize(
    "effort",
    [pytest.param(QUICK), pytest.param(SOAK, marks=pytest.mark.soak)],
    ids=["quick", "soak"],
)


def stage(workers: list[dict[str, Any]], **spec: Any) -> Stage:
    """A world at rest with these workers and these other fields; made once."""
    return _stage(json.dumps({"workers": workers, **spec}))


@cache
def _stage(spec: str) -> Stage:
    body = edits.body([])
    objects = Objects({**body, "spec": {**body["spec"], **json.loads(spec)}}, {})
    sim = Simulation(objects, Operator(Core(case.DEFAULTS))).fork(0)
    # Nothing served before, so nobody has to be waited for.
    sim.oracle.excused = True
    made = Stage(sim, edits.wanted)
    made.at_rest(sim)
    sim.oracle.excused = False
    return made


def spec_of(on: Stage, edit: Edit) -> dict[str, Any]:
    """The spec after an edit."""
    return {**on.base.objects.homeserver["spec"], "workers": edit.after, **edit.also}
