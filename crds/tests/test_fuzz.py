"""Specs made from the schema itself, in a real API server: taken, or refused by field."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.core import schema_strategies

from crds.tests.kubectl import Kubectl
from crds.tests.test_rules import homeserver

pytestmark = pytest.mark.apiserver

few = settings(
    max_examples=15,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def judge(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    done = kubectl.dry_run(homeserver(spec))
    if done.returncode:
        assert "is invalid:" in done.stderr, done.stderr
        assert "spec" in done.stderr.split("is invalid:", 1)[1], done.stderr


@few
@given(schema_strategies.specs())
def test_what_the_types_allow_is_taken_or_refused_by_field(
    kubectl: Kubectl, spec: dict[str, Any]
) -> None:
    judge(kubectl, spec)


@few
@given(schema_strategies.mangled())
def test_what_bounds_forbid_is_refused_by_field(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    judge(kubectl, spec)
