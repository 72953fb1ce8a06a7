"""Generated Secrets: random, well-formed, made once."""

import base64
import binascii
import re

import pytest
from tests.shell.fake_api import FakeApi
from tests.shell.objects import child, foreign, homeserver

from homeserver_operator import credentials
from homeserver_operator.api.actions import Generate
from homeserver_operator.api.world import Object, ObjectKey
from homeserver_operator.cluster import ApiError, Cluster

KINDS = (("password", "token"), ("signing.key", "signing-key"))
ORDER = Generate(child("Secret", "alpha-keys"), KINDS)


@pytest.fixture
async def server(api: FakeApi) -> Object:
    return await api.put(homeserver())


async def test_the_secret_gets_a_value_for_each_key(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    assert await credentials.create(cluster, server, ORDER) is None

    made = api.find("Secret", "alpha-keys")
    assert made is not None
    password, key = (base64.b64decode(made["data"][name]) for name in ("password", "signing.key"))
    assert re.fullmatch(rb"[A-Za-z0-9_-]{64}", password)
    assert re.fullmatch(rb"ed25519 a_[A-Za-z]{4} [A-Za-z0-9+/]{43}\n", key)
    assert len(base64.b64decode(key.split()[2] + b"=")) == 32


async def test_synapse_itself_reads_the_signing_key() -> None:
    signedjson = pytest.importorskip("signedjson.key")

    [key] = signedjson.read_signing_keys([credentials.value("signing-key").decode()])

    assert key.alg == "ed25519"


def test_values_never_repeat() -> None:
    assert len({credentials.value(kind) for kind in ("token", "signing-key") * 50}) == 100


async def test_an_existing_secret_of_ours_is_left_as_it_is(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    before = await api.put(child("Secret", "alpha-keys", data={"password": "b2xk"}))

    assert await credentials.create(cluster, server, ORDER) is None
    assert api.find("Secret", "alpha-keys") == before


async def test_somebody_elses_secret_is_named_and_left_as_it_is(
    api: FakeApi, cluster: Cluster, server: Object
) -> None:
    before = await api.put(foreign("Secret", "alpha-keys"))

    taken = await credentials.create(cluster, server, ORDER)

    assert taken == ObjectKey("Secret", "alpha-keys")
    assert api.find("Secret", "alpha-keys") == before


async def test_a_refusal_is_raised_without_the_values(
    api: FakeApi, cluster: Cluster, server: Object, caplog: pytest.LogCaptureFixture
) -> None:
    api.fail("POST", "/secrets", 422, body={"message": "Invalid value: 'hunter2'"})

    with pytest.raises(ApiError) as caught:
        await credentials.create(cluster, server, ORDER)

    sent = api.bodies[-1] if api.bodies else {}
    assert "hunter2" not in str(caught.value)
    assert str(sent.get("data")) not in caplog.text


def test_an_unknown_kind_of_value_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="no such kind"):
        credentials.value("password")


def test_base64_of_the_key_is_standard_not_url_safe() -> None:
    for _ in range(50):
        seed = credentials.value("signing-key").split()[2]
        try:
            base64.b64decode(seed + b"=", validate=True)
        except binascii.Error:
            pytest.fail(f"not standard base64: {seed!r}")
