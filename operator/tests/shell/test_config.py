"""Settings: defaults, and errors that name the variable and the remedy."""

import logging

import pytest

from homeserver_operator.config import ConfigError, parse

LEAST = {
    "SYNAPSE_IMAGE": "synapse:1",
    "POSTGRES_IMAGE": "postgres:1",
    "REDIS_IMAGE": "redis:1",
    "ROUTER_IMAGE": "router:1",
    "POD_NAMESPACE": "operators",
}


def test_the_least_that_works_watches_the_whole_cluster_from_within() -> None:
    settings = parse(LEAST)

    assert settings.namespaces == ()
    assert settings.kubeconfig is None
    assert (settings.concurrency, settings.resync, settings.http_port) == (4, 600.0, 8080)
    assert settings.log_level == logging.INFO
    assert settings.defaults.image == "synapse:1"
    assert settings.identity


def test_namespaces_are_separated_by_commas_and_named_once() -> None:
    assert parse({**LEAST, "WATCH_NAMESPACES": " a, b,,a,"}).namespaces == ("a", "b")


def test_an_empty_variable_is_the_default() -> None:
    assert parse({**LEAST, "RESYNC_SECONDS": "", "LEASE_NAME": ""}) == parse(LEAST)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        pytest.param("SYNAPSE_IMAGE", "", "SYNAPSE_IMAGE is not set", id="no image"),
        pytest.param("POD_NAMESPACE", " ", "POD_NAMESPACE is not set", id="no namespace"),
        pytest.param("WATCH_NAMESPACES", "a b", "'a b' is no namespace", id="separated by blanks"),
        pytest.param("WATCH_NAMESPACES", "-a", "'-a' is no namespace", id="no namespace name"),
        pytest.param("CONCURRENCY", "0", "whole number from 1 to 64", id="too few workers"),
        pytest.param("RESYNC_SECONDS", "10m", "whole number from 30", id="a unit"),
        pytest.param("RESYNC_SECONDS", "\u0661\u0662\u0663", "'\u0661", id="foreign digits"),
        pytest.param("HTTP_PORT", "65536", "from 1 to 65535", id="no port"),
        pytest.param("LOG_LEVEL", "verbose", "DEBUG, INFO, WARNING", id="an unknown level"),
        pytest.param("IMAGE_PULL_POLICY", "always", "IfNotPresent", id="an unknown policy"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse({**LEAST, name: value})

    assert str(caught.value).startswith(name)
