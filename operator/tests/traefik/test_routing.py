"""Real Traefik decides as the table does, in each of the four dialects that it serves."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.core import dialects
from tests.core.dialects import READERS
from tests.core.requests import corpus
from tests.traefik.rig import PROVIDERS, Front, traefik

pytestmark = pytest.mark.apiserver

EVERYONE = dialects.everyone()
SEED = 4
SAMPLE = 400


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with traefik(EVERYONE, tmp_path_factory.mktemp("traefik")) as running:
        yield running


@pytest.mark.parametrize("controller", PROVIDERS)
def test_every_request_goes_where_the_table_says(front: Front, controller: str) -> None:
    reader = next(each for each in READERS.values() if each.controller == controller)
    # Unlike ingress-nginx itself, Traefik matches ids as they are encoded.
    reader = replace(reader, decodes=False)
    requests = random.Random(SEED).sample(corpus(EVERYONE), SAMPLE)  # noqa: S311 - no secret  # noqa: S311 - a sample
    wrong = {
        request: (found, expected)
        for request in requests
        if (found := front.service_of(controller, request))
        != (expected := reader.expected(EVERYONE, request))
    }
    assert wrong == {}
    assert front.answered >= SAMPLE
