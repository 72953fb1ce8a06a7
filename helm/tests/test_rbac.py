"""What the operator may do: exactly what its own list of managed kinds needs, and no more."""

from collections.abc import Iterator

import pytest

from helm.tests.chart import NAMESPACE, RELEASE, Helm, Object, of_kind, one
from homeserver_operator.api import names
from homeserver_operator.api.kinds import MANAGED_KINDS, REPLICA_SET, ManagedKind
from homeserver_operator.api.spec import parse
from homeserver_operator.build.router_access import build_role
from homeserver_operator.resources import CRD, EVENT, LEASE

pytestmark = pytest.mark.apiserver

Grant = tuple[str, str, str]
"""API group, resource, verb."""

NAME = f"{RELEASE}-homeserver-operator"
CRD_ROLE = f"{NAMESPACE}:{NAME}:crd"


def group(kind: ManagedKind) -> str:
    return kind.api_version.rpartition("/")[0]


def grants(role: Object) -> list[Grant]:
    return [
        (api_group, resource, verb)
        for rule in role["rules"]
        for api_group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def needed() -> Iterator[Grant]:
    """Yield what listing, watching, applying and pruning the managed kinds takes."""
    for verb in ("get", "list", "watch"):
        yield names.GROUP, names.PLURAL, verb
    yield names.GROUP, f"{names.PLURAL}/status", "patch"
    # Not needed to write anything, but to be named as the owner that waits for its children.
    yield names.GROUP, f"{names.PLURAL}/finalizers", "update"
    for kind in MANAGED_KINDS:
        verbs = ["get", "list", "watch"]
        verbs += ["create", "patch"] if kind.written else []
        verbs += ["delete"] if kind.pruned else []
        yield from ((group(kind), kind.plural, verb) for verb in verbs)
    yield from ((group(REPLICA_SET), REPLICA_SET.plural, verb) for verb in ("get", "list"))
    yield group(REPLICA_SET), f"{REPLICA_SET.plural}/scale", "patch"
    yield group(EVENT), EVENT.plural, "create"
    # The router's agent asks for these; who grants a right must have it.
    yield from (("discovery.k8s.io", "endpointslices", verb) for verb in ("get", "list", "watch"))


def test_the_operator_may_do_what_it_grants_to_the_router(helm: Helm) -> None:
    """Else the API server refuses the Role."""
    (role,) = (
        role for role in of_kind(helm.template(), "Role") if role["metadata"]["name"] == NAME
    )
    server = parse({"metadata": {"namespace": "a", "name": "b"}, "spec": {"serverName": "c"}})
    assert set(grants(build_role(server, "d"))) <= set(grants(role))


@pytest.mark.parametrize(
    ("values", "kind"),
    [({}, "Role"), ({"clusterWide": True}, "ClusterRole")],
    ids=["in a namespace", "cluster-wide"],
)
def test_the_rights_are_those_that_the_managed_kinds_need(
    helm: Helm, values: Object, kind: str
) -> None:
    (role,) = (
        role
        for role in of_kind(helm.template(values), kind)
        if role["metadata"]["name"] in {NAME, f"{NAMESPACE}:{NAME}"}
    )
    granted = grants(role)
    assert sorted(granted) == sorted(needed())
    assert len(granted) == len(set(granted))


@pytest.mark.parametrize(
    "values",
    [{}, {"watchNamespaces": ["a", "b"]}, {"clusterWide": True}],
    ids=["default", "two namespaces", "cluster-wide"],
)
def test_no_role_has_a_wildcard_or_lets_its_holder_become_more(helm: Helm, values: Object) -> None:
    objects = helm.template(values)
    for role in [*of_kind(objects, "Role"), *of_kind(objects, "ClusterRole")]:
        assert "nonResourceURLs" not in str(role["rules"])
        for api_group, resource, verb in grants(role):
            assert "*" not in f"{api_group}{resource}{verb}"
            assert verb not in {"escalate", "bind", "impersonate"}
            assert resource not in {"pods/exec", "nodes/proxy", "serviceaccounts/token"}


def test_namespaced_mode_grants_nothing_outside_but_reading_its_crd(helm: Helm) -> None:
    objects = helm.template({"watchNamespaces": ["a", "b"]})
    role = one(objects, "ClusterRole")
    assert role["metadata"]["name"] == CRD_ROLE
    (rule,) = role["rules"]
    assert rule == {
        "apiGroups": [group(CRD)],
        "resources": [CRD.plural],
        "resourceNames": [f"{names.PLURAL}.{names.GROUP}"],
        "verbs": ["get"],
    }
    places = {
        (role["metadata"]["namespace"], role["metadata"]["name"])
        for role in of_kind(objects, "Role")
    }
    assert places == {("a", NAME), ("b", NAME), (NAMESPACE, f"{NAME}-lease")}


def test_the_operator_may_hold_its_own_lease_and_no_other(helm: Helm) -> None:
    objects = helm.template({"clusterWide": True})
    role = one(objects, "Role")
    assert role["metadata"]["namespace"] == NAMESPACE
    assert set(grants(role)) == {
        (group(LEASE), LEASE.plural, verb) for verb in ("get", "create", "update")
    }
    named = [rule for rule in role["rules"] if rule["verbs"] != ["create"]]
    assert [rule["resourceNames"] for rule in named] == [[NAME]]


@pytest.mark.parametrize(
    "values",
    [{}, {"watchNamespaces": ["a"]}, {"clusterWide": True}],
    ids=["default", "another namespace", "cluster-wide"],
)
def test_every_role_is_bound_to_the_operator_and_to_nobody_else(helm: Helm, values: Object) -> None:
    objects = helm.template(values)
    account = one(objects, "ServiceAccount")["metadata"]
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account["name"]
    for kind in ("Role", "ClusterRole"):
        roles = {
            (role["metadata"].get("namespace"), role["metadata"]["name"])
            for role in of_kind(objects, kind)
            if "rbac.authorization.k8s.io/aggregate-to-edit" not in role["metadata"]["labels"]
        }
        bound = set()
        for binding in of_kind(objects, f"{kind}Binding"):
            assert binding["roleRef"]["kind"] == kind
            bound.add((binding["metadata"].get("namespace"), binding["roleRef"]["name"]))
            (subject,) = binding["subjects"]
            assert (subject["namespace"], subject["name"]) == (
                account["namespace"],
                account["name"],
            )
        assert bound == roles


@pytest.mark.parametrize(
    ("values", "made"),
    [
        pytest.param({}, False, id="not by default"),
        pytest.param({"userRoles": {"create": True}}, True, id="if asked to"),
        pytest.param({"clusterWide": True}, True, id="cluster-wide"),
    ],
)
def test_people_get_rights_by_aggregation(helm: Helm, values: Object, *, made: bool) -> None:
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    rights: dict[str, set[str]] = {}
    for role in of_kind(helm.template(values), "ClusterRole"):
        for label in role["metadata"]["labels"]:
            if label.startswith(prefix):
                verbs = {verb for _, _, verb in grants(role)}
                rights.setdefault(label.removeprefix(prefix), set()).update(verbs)
    read = {"get", "list", "watch"}
    write = read | {"create", "update", "patch", "delete", "deletecollection"}
    assert rights == ({"view": read, "edit": write, "admin": write} if made else {})
