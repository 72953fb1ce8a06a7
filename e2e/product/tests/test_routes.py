"""The hand-written requests and the operator's route table cover each other and agree."""

from __future__ import annotations

import re

import pytest

from e2e.product.routes import MAIN, Sample, class_of, samples
from homeserver_operator.routes.classes import CLASSES
from homeserver_operator.routes.table import ROUTES, Route

VALUES = {
    "room": "!room:example.org",
    "spare": "!spare:example.org",
    "alias": "#alias:example.org",
    "event": "$event",
    "user": "@user:example.org",
    "peer": "@peer:example.org",
    "device": "DEVICE",
    "server": "example.org",
    "media": "media",
    "mark": "mark",
}
SAMPLES = [sample.filled(VALUES) for sample in samples()]
ROWS = [route for route in ROUTES if not route.narrow and route.only != "mas"]
"""Those of an Ingress that sees only paths, where Synapse does the logins."""
CLAIMS = {item.name: item.stream or item.serves for item in CLASSES}


# Endpoints of OpenID Connect and SAML are there only where a provider is.
@pytest.mark.parametrize(
    "route",
    [row for row in ROWS if not re.search("oidc|saml2", row.pattern)],
    ids=lambda row: row.pattern,
)
def test_a_row_has_a_request(route: Route) -> None:
    assert any(re.fullmatch(route.pattern, sample.path) for sample in SAMPLES)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.method} {s.target}")
def test_a_request_is_of_the_class_that_the_table_says(sample: Sample) -> None:
    rows = [row for row in ROWS if re.fullmatch(row.pattern, sample.path)]

    assert class_of(sample.path) == (CLAIMS[rows[0].route_class] if rows else MAIN)


def test_nothing_is_left_to_be_filled_in() -> None:
    assert [sample for sample in SAMPLES if "<" in sample.target + sample.body] == []
    assert all(sample.content is None or isinstance(sample.content, dict) for sample in SAMPLES)
