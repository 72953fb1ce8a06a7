"""Who exists, what each is called, and the lists whose order Synapse takes for meaning."""

from typing import Any

import pytest
from tests.core.case import as_stored

from homeserver_operator.api.roles import MEDIA_BACKGROUND_JOBS, SINGLE_RUNNER
from homeserver_operator.api.spec import parse
from homeserver_operator.topology import Topology, make_topology

DUTIES = ("federationSender", "pusher", "outboundFederation", *SINGLE_RUNNER, MEDIA_BACKGROUND_JOBS)


def laid_out(*groups: dict[str, Any]) -> Topology:
    spec = {"serverName": "elm.example", "workers": list(groups)}
    return make_topology(parse(as_stored({"metadata": {"name": "elm"}, "spec": spec})))


def test_sharded_lists_are_in_order_of_group_and_number() -> None:
    """sha256(key) modulo the list's length decides: another order moves every room."""
    late = {"name": "zebra", "replicas": 2, "writes": ["events"], "runs": ["pusher"]}
    early = {"name": "ant", "replicas": 11, "writes": ["events"], "runs": ["pusher"]}
    expected = (*(f"ant-{index}" for index in range(11)), "zebra-0", "zebra-1")
    for groups in ((late, early), (early, late)):
        topology = laid_out(*groups)
        assert topology.writers["events"] == expected
        assert topology.runners["pusher"] == expected


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        pytest.param({"serves": ["sync"], "replicas": 3}, [("bee", None, 3)],
                     id="who only serves shares a Deployment and is named by its pods"),
        pytest.param({"serves": ["sync"]}, [("bee", None, None)],
                     id="without replicas they are whoever's who scales"),
        pytest.param({"writes": ["events"], "replicas": 2},
                     [("bee-0", "bee-0", 1), ("bee-1", "bee-1", 1)],
                     id="writers have a Deployment each"),
        pytest.param({"runs": ["pusher"]}, [("bee-0", "bee-0", 1)],
                     id="one by default, named, because others refer to it"),
        pytest.param({"serves": ["sync"], "runs": ["pusher"]}, [("bee-0", "bee-0", 1)],
                     id="a duty makes a server a named process"),
        pytest.param({"writes": ["events"], "replicas": 0}, [], id="no writers at all"),
    ],
)  # fmt: skip
def test_processes_of_a_group(
    group: dict[str, Any], expected: list[tuple[str, str | None, int | None]]
) -> None:
    workers = laid_out({"name": "bee", **group}).workers
    assert [(p.name, p.instance, p.replicas) for p in workers] == expected


def test_one_of_several_media_repositories_runs_the_jobs() -> None:
    topology = laid_out(
        {"name": "bee", "replicas": 2, "serves": ["media"], "runs": ["mediaBackgroundJobs"]}
    )
    assert topology.runners == {"mediaBackgroundJobs": ("bee-0",)}
    assert not topology.main.media_repository


def test_main_the_writers_and_who_goes_out_can_be_called() -> None:
    topology = laid_out(
        {"name": "bee", "writes": ["typing"]},
        {"name": "cat", "serves": ["sync"]},
        {"name": "dog", "runs": ["pusher"]},
        {"name": "elk", "runs": ["outboundFederation"]},
    )
    assert [process.name for process in topology.replicating] == ["main", "bee-0", "elk-0"]


JOBS = {"serves": ["media"], "runs": ["mediaBackgroundJobs"]}
QUARANTINE = {"serves": ["media"], "writes": ["quarantinedMediaChanges"]}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        pytest.param([], None, id="main has media, and writes it by Synapse's default"),
        pytest.param([{"name": "bee", "replicas": 2, **JOBS}], ("bee-0",),
                     id="nobody claims it: who runs the jobs, since main could not"),
        pytest.param([{"name": "bee", "replicas": 2, **JOBS, **QUARANTINE}], ("bee-0", "bee-1"),
                     id="several claim it"),
        pytest.param([{"name": "bee", **JOBS}, {"name": "cat", **QUARANTINE}], ("cat-0",),
                     id="who claims it has it alone"),
        pytest.param([{"name": "bee", **JOBS}, {"name": "cat", "replicas": 0, **QUARANTINE}],
                     ("bee-0",), id="a claim of nobody is none"),
        pytest.param([{"name": "bee", "replicas": 0, **JOBS}], None,
                     id="main has media again when its group sleeps"),
    ],
)  # fmt: skip
def test_who_writes_an_administrators_decisions_on_media(
    groups: list[dict[str, Any]], expected: tuple[str, ...] | None
) -> None:
    topology = laid_out(*groups)
    assert topology.writers.get("quarantinedMediaChanges") == expected
    writers = [p for p in topology.processes if p.instance in (expected or ("master",))]
    assert all(process.media_repository for process in writers)


@pytest.mark.parametrize("duty", DUTIES)
def test_a_duty_whose_group_sleeps_is_mains_again(duty: str) -> None:
    """A list without members, or with one that does not exist, would leave it to nobody."""
    serves = {"serves": ["media"]} if duty == "mediaBackgroundJobs" else {}
    topology = laid_out({"name": "bee", "replicas": 0, "runs": [duty], **serves})
    assert topology.runners == {}
    assert [process.name for process in topology.processes] == ["main"]
    assert topology.main.media_repository
