"""How the user's overlays come together with each other, and with what the operator adds."""

from typing import Any

import pytest
import yaml
from tests.core import case
from tests.core.case import as_stored

from homeserver_operator.api.spec import parse
from homeserver_operator.render.caches import cache_settings
from homeserver_operator.render.homeserver_yaml import merged
from homeserver_operator.topology import make_topology


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        pytest.param({"email": {"smtp_host": "a", "smtp_port": 1}}, {"email": {"smtp_port": 2}},
                     {"email": {"smtp_host": "a", "smtp_port": 2}}, id="mappings are merged"),
        pytest.param({"a": {"b": {"c": 1}}}, {"a": {"b": {"d": 2}}},
                     {"a": {"b": {"c": 1, "d": 2}}}, id="at any depth"),
        pytest.param({"modules": [1, 2]}, {"modules": [3]}, {"modules": [3]},
                     id="lists are replaced"),
        pytest.param({"a": {"b": 1}}, {"a": None}, {"a": None}, id="so are mappings by a value"),
        pytest.param({"a": 1}, {"b": 2}, {"a": 1, "b": 2}, id="other keys stay"),
    ],
)  # fmt: skip
def test_the_upper_overlay_wins(
    lower: dict[str, Any], upper: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = repr(lower)
    assert merged(lower, upper) == expected
    assert repr(lower) == before, "other processes have it too"


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, {}),
        ({"requests": {"memory": "1Gi"}}, {}),
        ({"limits": {"cpu": 1}}, {}),
        ({"limits": {"memory": "1000M"}}, (700_000_000, 550_000_000)),
        ({"limits": {"memory": 1000}}, (700, 550)),
        ({"limits": {"memory": "1Gi"}}, (751_619_276, 590_558_003)),
    ],
)
def test_caches_are_kept_within_the_memory_limit(
    resources: dict[str, Any], expected: tuple[int, int] | dict[str, Any]
) -> None:
    spec = {"serverName": "elm.example", "main": {"resources": resources}}
    main = make_topology(parse(as_stored({"metadata": {"name": "elm"}, "spec": spec}))).main
    found = cache_settings(main)
    if not expected:
        assert found == {}
        return
    tuning = found["caches"]["cache_autotuning"]
    assert (tuning["max_cache_memory_usage"], tuning["target_cache_memory_usage"]) == expected


@pytest.mark.parametrize("where", ["spec", "main"])
def test_who_sets_caches_sets_them_alone(where: str) -> None:
    """A factor and a bound together would be two opinions."""
    own = {"config": {"caches": {"global_factor": 2}}}
    limits = {"resources": {"limits": {"memory": "1Gi"}}}
    spec = {"main": limits, **own} if where == "spec" else {"main": {**limits, **own}}
    body = as_stored({"metadata": {"name": "elm"}, "spec": {"serverName": "elm.example", **spec}})
    built = case.build_all(case.Case("elm", body, {}))
    (config,) = (each for each in built.content if each["metadata"]["name"].startswith("elm-main-"))
    settings = yaml.safe_load(config["data"]["homeserver.yaml"])
    assert settings["caches"] == {"global_factor": 2}
