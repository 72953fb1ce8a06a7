"""What another server asks is signed as Synapse reads it."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable

import pytest
from signedjson.key import decode_verify_key_base64
from signedjson.sign import verify_signed_json

from e2e.product.abroad import Abroad
from e2e.product.mix import ELSEWHERE

Parse = Callable[[bytes], tuple[str, str, str, str | None]]


@pytest.fixture(scope="module")
def parse() -> Parse:
    """Synapse's own; its modules warn of their dependencies when they are loaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        base = importlib.import_module("synapse.federation.transport.server._base")
    found: Parse = base._parse_auth_header
    return found


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param(
            "GET", "/_matrix/federation/v1/query/profile?user_id=%40a%3Ab", None, id="read"
        ),
        pytest.param("PUT", "/_matrix/federation/v1/send/t1", {"pdus": []}, id="transaction"),
    ],
)
def test_synapse_finds_a_signature_that_fits(
    parse: Parse, method: str, path: str, body: object
) -> None:
    asks = Abroad("127.0.0.1", "host", "alpha.example")
    ((known, told),) = asks.keys["verify_keys"].items()
    header = asks.authorization(method, path, body)
    origin, key, signature, destination = parse(header.encode())
    assert (origin, key, destination) == (ELSEWHERE, known, "alpha.example")
    signed: dict[str, object] = {
        "method": method,
        "uri": path,
        "origin": origin,
        "destination": destination,
    }
    if body is not None:
        signed |= {"content": body}
    signed |= {"signatures": {ELSEWHERE: {key: signature}}}
    algorithm, version = key.split(":")
    # Raises if it does not.
    verify_signed_json(signed, ELSEWHERE, decode_verify_key_base64(algorithm, version, told["key"]))
