"""The simulated controllers against what Kubernetes' do, by its documentation and its source."""

from typing import Any

import pytest
from tests.switch.deployments import DESIRED, MOST, REVISION, DeploymentController, resolved
from tests.switch.objects import ConflictError, Objects
from tests.switch.plain import Scale, homeserver
from tests.switch.replicasets import ReplicaSetController

from homeserver_operator.api.actions import Delete
from homeserver_operator.api.world import ObjectKey

WEB = ObjectKey("Deployment", "web")


class Rig:
    """One Deployment, its controllers, and pods that are ready if we say so."""

    def __init__(
        self, replicas: int, surge: int | str, unavailable: int | str, **spec: Any
    ) -> None:
        self.objects = Objects(homeserver(), {})
        self.deployments, self.sets = DeploymentController(), ReplicaSetController()
        rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
        self.objects.put({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
                "template": self._template("v1"), **spec,
            },
        })  # fmt: skip

    @staticmethod
    def _template(image: str) -> dict[str, Any]:
        return {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": image}]},
        }

    def edit(self, **spec: Any) -> None:
        live = self.objects.live[WEB]
        self.objects.put({**live, "spec": {**live["spec"], **spec}})

    def use(self, image: str) -> None:
        self.edit(template=self._template(image))

    def ready(self, image: str, count: int, *, are: bool = True) -> None:
        """So many pods of an image turn ready, or cease to be."""
        condition = {"type": "Ready", "status": str(are)}
        for pod in self.objects.of_kind("Pod"):
            now = pod["status"].get("conditions") == [{"type": "Ready", "status": "True"}]
            if pod["spec"]["containers"][0]["image"] == image and now is not are and count:
                count -= 1
                self.objects.put({**pod, "status": {"phase": "Running", "conditions": [condition]}})
        assert not count

    def one_sync(self) -> None:
        self._spread()
        for name in list(self.sets.names):
            self.sets.sync(self.objects, name)
        self._spread()
        for name in list(self.deployments.names):
            self.deployments.sync(self.objects, name)

    def settle(self) -> "Rig":
        for _ in range(100):
            before = self.objects.version
            self.one_sync()
            if self.objects.version == before and not self.objects.changes:
                return self
        raise AssertionError("still busy")

    def _spread(self) -> None:
        changes, self.objects.changes = self.objects.changes, []
        for change in changes:
            self.deployments.notice(change)
            self.sets.notice(change)

    def of(self, image: str) -> dict[str, Any]:
        return next(
            dict(item)
            for item in self.objects.of_kind("ReplicaSet")
            if item["spec"]["template"]["spec"]["containers"][0]["image"] == image
        )

    @property
    def sizes(self) -> dict[str, int]:
        return {
            item["spec"]["template"]["spec"]["containers"][0]["image"]: item["spec"]["replicas"]
            for item in self.objects.of_kind("ReplicaSet")
        }


def rolled(replicas: int, surge: int | str, unavailable: int | str) -> Rig:
    """All of v1 ready; v2 is wanted and none of it ready."""
    rig = Rig(replicas, surge, unavailable).settle()
    rig.ready("v1", replicas)
    rig.settle().use("v2")
    return rig.settle()


@pytest.mark.parametrize(
    ("value", "replicas", "up", "pods"),
    [(1, 10, True, 1), ("25%", 4, True, 1), ("25%", 5, True, 2), ("25%", 5, False, 1),
     ("100%", 3, True, 3), ("0%", 3, True, 0)],
)  # fmt: skip
def test_surge_is_rounded_up_and_unavailability_down(
    value: int | str, replicas: int, up: bool, pods: int
) -> None:
    assert resolved(value, replicas, up=up) == pods


STARTS: dict[str, tuple[int, int | str, int | str, dict[str, int]]] = {
    "one pod, surge 1: the new one comes beside the old": (1, 1, 0, {"v1": 1, "v2": 1}),
    "three, surge 1: one comes": (3, 1, 0, {"v1": 3, "v2": 1}),
    "three, surge 100%: all come": (3, "100%", 0, {"v1": 3, "v2": 3}),
    "three, no surge: one goes, one comes": (3, 0, 1, {"v1": 2, "v2": 1}),
    "ten, surge 3, two may lack: the documentation's example": (10, 3, 2, {"v1": 8, "v2": 5}),
    "none at all: none comes": (0, 1, 0, {"v1": 0, "v2": 0}),
}


@pytest.mark.parametrize(("replicas", "surge", "unavailable", "sizes"), STARTS.values(),
                         ids=STARTS.keys())  # fmt: skip
def test_a_rollout_starts_and_waits(
    replicas: int, surge: int | str, unavailable: int | str, sizes: dict[str, int]
) -> None:
    assert rolled(replicas, surge, unavailable).sizes == sizes


def test_the_old_go_as_the_new_become_available() -> None:
    rig = rolled(3, 1, 0)
    seen = []
    for _ in range(3):
        rig.ready("v2", 1)
        seen.append(rig.settle().sizes)
    assert seen == [{"v1": 2, "v2": 2}, {"v1": 1, "v2": 3}, {"v1": 0, "v2": 3}]


def test_an_unavailable_new_pod_never_costs_an_old_one() -> None:
    rig = rolled(3, "100%", 0)
    rig.ready("v1", 1, are=False)
    assert rig.settle().sizes == {"v1": 3, "v2": 3}


def test_unhealthy_old_pods_go_first_once_a_third_template_needs_their_room() -> None:
    """The one in the middle never ran; the oldest, which serves, stays."""
    rig = rolled(1, 1, 0)
    rig.use("v3")
    assert rig.settle().sizes == {"v1": 1, "v2": 0, "v3": 1}


def test_an_old_pod_that_is_unready_for_a_moment_goes_when_a_third_template_comes() -> None:
    """What a switch on top of a switch must know."""
    rig = rolled(1, 1, 0)
    rig.ready("v1", 1, are=False)
    rig.settle().use("v3")
    assert rig.settle().sizes["v1"] == 0


def test_a_replica_set_with_the_same_template_is_used_again_and_becomes_the_latest() -> None:
    rig = rolled(1, 1, 0)
    first, uids = rig.of("v1"), {pod["metadata"]["uid"] for pod in rig.objects.of_kind("Pod")}
    rig.use("v1")
    rig.settle()
    assert rig.sizes == {"v1": 1, "v2": 0}
    again = rig.of("v1")
    assert again["metadata"]["uid"] == first["metadata"]["uid"]
    assert again["metadata"]["annotations"][REVISION] == "3"
    assert rig.objects.live[WEB]["metadata"]["annotations"][REVISION] == "3"
    assert {pod["metadata"]["uid"] for pod in rig.objects.of_kind("Pod")} < uids


def test_a_replica_set_that_somebody_scaled_to_nothing_stays_so() -> None:
    rig = rolled(1, "100%", 0)
    old = rig.of("v1")["metadata"]
    rig.objects.write(
        Scale(ObjectKey("ReplicaSet", old["name"]), old["uid"], old["resourceVersion"], 0, "")
    )
    assert rig.settle().sizes == {"v1": 0, "v2": 1}
    assert [pod["spec"]["containers"][0]["image"] for pod in rig.objects.of_kind("Pod")] == ["v2"]


SCALED: dict[str, tuple[int, int | str, int, dict[str, int]]] = {
    "10 to 15 with surge 3 and two that may lack: the documentation's example": (
        10, 3, 15, {"v1": 11, "v2": 7}),
    "both full: both grow": (2, "100%", 3, {"v1": 3, "v2": 3}),
    "both full: both shrink": (4, "100%", 2, {"v1": 2, "v2": 2}),
    "to nothing: both go": (2, "100%", 0, {"v1": 0, "v2": 0}),
}  # fmt: skip


@pytest.mark.parametrize(("before", "surge", "after", "sizes"), SCALED.values(), ids=SCALED.keys())
def test_scaling_in_the_middle_of_a_rollout_is_proportional(
    before: int, surge: int | str, after: int, sizes: dict[str, int]
) -> None:
    rig = rolled(before, surge, 2 if surge == 3 else 0)
    rig.edit(replicas=after)
    assert rig.settle().sizes == sizes
    if after:
        notes = rig.of("v2")["metadata"]["annotations"]
        total = after + resolved(surge, after, up=True)
        assert (notes[DESIRED], notes[MOST]) == (str(after), str(total))


def test_old_replica_sets_are_forgotten_beyond_the_limit_once_all_is_done() -> None:
    rig = Rig(1, 1, 0, revisionHistoryLimit=2).settle()
    rig.ready("v1", 1)
    for number in range(2, 6):
        rig.settle().use(f"v{number}")
        rig.settle().ready(f"v{number}", 1)
    assert set(rig.settle().sizes) == {"v3", "v4", "v5"}


def test_recreate_waits_until_the_last_old_pod_is_gone() -> None:
    rig = Rig(2, 0, 0, strategy={"type": "Recreate"}).settle()
    rig.ready("v1", 2)
    for pod in rig.settle().objects.of_kind("Pod"):
        rig.objects.put({**pod, "spec": {**pod["spec"], "nodeName": "node-1"}})
    rig.use("v2")
    assert rig.settle().sizes == {"v1": 0}
    for pod in rig.objects.of_kind("Pod"):
        rig.objects.forget(ObjectKey("Pod", pod["metadata"]["name"]))
    assert rig.settle().sizes == {"v1": 0, "v2": 2}


def test_a_deleted_pod_is_replaced_by_one_of_its_own_template() -> None:
    rig = rolled(1, 1, 0)
    pod = next(p for p in rig.objects.of_kind("Pod") if p["spec"]["containers"][0]["image"] == "v1")
    rig.objects.delete(ObjectKey("Pod", pod["metadata"]["name"]))
    rig.settle()
    images = sorted(p["spec"]["containers"][0]["image"] for p in rig.objects.of_kind("Pod"))
    assert images == ["v1", "v2"]


def test_a_status_follows_the_spec_and_says_which_it_has_seen() -> None:
    rig = rolled(3, 1, 0)
    live = rig.objects.live[WEB]
    assert live["status"]["observedGeneration"] == live["metadata"]["generation"] == 2
    assert live["status"]["replicas"] == 4
    assert live["status"]["updatedReplicas"] == 1
    assert live["status"]["readyReplicas"] == 3


def test_what_belonged_to_a_deleted_deployment_goes_one_after_the_other() -> None:
    rig = rolled(1, 1, 0)
    rig.objects.delete(WEB)
    rounds = []
    while found := list(rig.objects.garbage()):
        rounds.append({key.kind for key in found})
        for key in found:
            rig.objects.forget(key)
    assert rounds == [{"ReplicaSet"}, {"Pod"}]


@pytest.mark.parametrize("stale", ["uid", "version"])
def test_a_write_on_what_has_changed_is_refused(stale: str) -> None:
    rig = Rig(1, 1, 0).settle()
    metadata = rig.objects.live[WEB]["metadata"]
    uid = "another" if stale == "uid" else metadata["uid"]
    version = "0" if stale == "version" else metadata["resourceVersion"]
    with pytest.raises(ConflictError):
        rig.objects.write(Scale(WEB, uid, version, 0, ""))
    if stale == "uid":
        with pytest.raises(ConflictError):
            rig.objects.write(Delete(WEB, uid, ""))


def test_a_write_that_changes_nothing_leaves_the_version() -> None:
    rig = Rig(1, 1, 0).settle()
    before = rig.objects.version
    rig.objects.put(rig.objects.live[WEB])
    rig.objects.scale_object(WEB, 1, manager="somebody")
    assert rig.objects.version == before
