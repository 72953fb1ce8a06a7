"""What nodes come to when pods are placed and evicted, judged by Kubernetes itself."""

from collections.abc import Iterator

import pytest
from tests.nodes.fleet import BUSY, NODES, ROOMY, SECONDS, Fleet

from crds.tests.kubectl import Kubectl
from e2e.cluster.controlplane import ControlPlane

pytestmark = pytest.mark.apiserver

GROUPS = {"a group that serves": "reader", "a sharded group": "writer"}
REFUSED = (
    "Error from server (TooManyRequests): "
    "Cannot evict pod as it would violate the pod's disruption budget."
)

of_each_group = pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)


@pytest.fixture(scope="module")
def empty() -> Iterator[Fleet]:
    with ControlPlane(controller_manager=True, scheduler=True, kwok=True) as running:
        fleet = Fleet(Kubectl(running.kubectl, running.kubeconfig))
        fleet.prepare()
        yield fleet


@pytest.fixture
def fleet(empty: Fleet) -> Iterator[Fleet]:
    empty.deploy()
    yield empty
    empty.clear()


@of_each_group
def test_no_two_pods_of_a_group_share_a_node_though_one_has_room_for_all(
    fleet: Fleet, group: str
) -> None:
    places = [pod["spec"]["nodeName"] for pod in fleet.pods(group).values()]
    assert len(places) > 2
    assert sorted(places) == sorted(set(places))


@of_each_group
def test_a_second_pod_may_be_evicted_when_the_first_is_back_and_not_before(
    fleet: Fleet, group: str
) -> None:
    first, second, *_ = fleet.pods(group)
    fleet.kubectl.run("cordon", *NODES)

    assert fleet.evict(first) == ""
    assert fleet.evict(second) == REFUSED

    fleet.kubectl.run("uncordon", *NODES)
    fleet.settle()
    assert fleet.evict(second) == ""


@of_each_group
def test_a_pod_that_is_not_ready_keeps_no_node_from_being_drained(fleet: Fleet, group: str) -> None:
    broken, other, *_ = fleet.pods(group)
    fleet.spoil(broken)

    assert fleet.evict(other) == REFUSED
    assert fleet.evict(broken) == ""


def test_a_process_that_is_alone_may_be_evicted_even_where_there_is_no_other_node(
    fleet: Fleet,
) -> None:
    several = {name for group in GROUPS.values() for name in fleet.pods(group)}
    alone = fleet.pods().keys() - several
    assert len(alone) == len(["main", "single", "postgres", "redis"])
    fleet.kubectl.run("cordon", *NODES)

    assert {fleet.evict(pod) for pod in alone} == {""}


def test_drains_of_several_nodes_at_once_end_and_all_pods_find_a_place(fleet: Fleet) -> None:
    """Some on a node that has one of their group already: that is better than none."""
    drained, left = BUSY[:2], {ROOMY, BUSY[2]}
    flags = ("--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={SECONDS}s")

    fleet.kubectl.run("drain", *drained, *flags)

    fleet.settle()
    assert {pod["spec"]["nodeName"] for pod in fleet.pods().values()} == left
