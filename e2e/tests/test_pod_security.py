"""The namespaces take only pods of the restricted standard: everything here runs under it."""

from __future__ import annotations

import json

import pytest

from e2e.product.installation import OPERATOR_NAMESPACE, Installation
from e2e.product.kube import Kube, KubectlError
from e2e.tests.conftest import NAMESPACE

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    "namespace",
    [
        pytest.param(NAMESPACE, id="of the homeservers"),
        pytest.param(OPERATOR_NAMESPACE, id="of the operator"),
    ],
)
def test_a_pod_that_may_be_root_is_refused_in_the_namespace(
    installation: Installation, namespace: str
) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "careless"},
        "spec": {"containers": [{"name": "careless", "image": "none"}]},
    }

    with pytest.raises(KubectlError, match='violates PodSecurity "restricted'):
        Kube(installation.cluster, namespace).run(
            "create", "--dry-run=server", "-f", "-", text=json.dumps(pod)
        )
