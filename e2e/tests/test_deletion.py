"""Deleting a homeserver removes what runs and keeps what cannot be made again."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from e2e.product.homeserver import RunningHomeServer
from e2e.product.http import wait_answering
from e2e.product.kube import eventually
from e2e.product.matrix import User

pytestmark = pytest.mark.cluster


def test_data_and_secrets_outlive_the_homeserver_and_serve_its_successor(
    homeserver: RunningHomeServer,
) -> None:
    kube, selector = homeserver.kube, f"homeserver-operator.io/homeserver={homeserver.name}"
    name, password = f"survivor-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    ingress = homeserver.installation.cluster.ingress
    asyncio.run(_register(ingress, homeserver.host, name, password))
    generated = set(homeserver.live()["status"]["generatedSecrets"])
    key = kube.get("secret", "example-signing-key")["data"]
    volumes = {claim["metadata"]["uid"] for claim in kube.list("pvc", selector)}

    kube.delete("homeserver", homeserver.name)
    for kind in (
        *("deployments", "services", "ingresses", "configmaps", "serviceaccounts", "pods"),
        *("networkpolicies", "poddisruptionbudgets"),
    ):
        eventually(
            lambda kind=kind: [item["metadata"]["name"] for item in kube.list(kind, selector)],  # type: ignore[misc]
            lambda left: left == [],
            what=f"no {kind} left",
            seconds=120,
        )

    left = {item["metadata"]["name"] for item in kube.list("secrets")}
    assert left >= generated
    assert not {name for name in left - generated if name.startswith(f"{homeserver.name}-")}
    assert {claim["metadata"]["uid"] for claim in kube.list("pvc", selector)} == volumes

    homeserver.apply(homeserver.resource)
    homeserver.wait_ready()
    wait_answering(ingress, homeserver.host)

    assert kube.get("secret", "example-signing-key")["data"] == key
    asyncio.run(_log_in(ingress, homeserver.host, name, password))


async def _register(ingress: str, host: str, name: str, password: str) -> None:
    async with User(ingress=ingress, host=host, name=name, password=password) as user:
        await user.register()


async def _log_in(ingress: str, host: str, name: str, password: str) -> None:
    async with User(ingress=ingress, host=host, name=name, password=password) as user:
        await user.login()
