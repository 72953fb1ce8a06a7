"""The whole topology, live: two homeservers that know each other, and what they report to."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

import yaml

from e2e.cluster.pki import Authority
from e2e.product.audit import Audit
from e2e.product.homeserver import RunningHomeServer
from e2e.product.http import wait_answering
from e2e.product.installation import Installation
from e2e.product.kube import Object
from e2e.product.matrix import User
from e2e.product.objects import config_map, secret, tls_secret
from e2e.product.recording import Recording
from e2e.product.routes import class_of, samples

RESOURCES = Path(__file__).with_name("homeservers.yaml")
BARE = str.maketrans("", "", "<>")
STARTS = 900.0
"""Seconds for two dozen processes to start on a small, busy machine."""
SELECTOR = "homeserver-operator.io/homeserver in (full, small)"


@dataclass(frozen=True)
class Live:
    """`full` has a worker for everything, `small` none; `bridge` is full's application service."""

    full: RunningHomeServer
    small: RunningHomeServer
    recording: Recording
    bridge: Object
    # From when both were ready.
    ready_at: float
    pods: dict[str, frozenset[str]]
    audit: Audit | None

    def person(self, server: RunningHomeServer, name: str) -> User:
        """Somebody without an account, whose name begins so."""
        return User(
            ingress=server.installation.cluster.ingress,
            host=server.host,
            name=f"{name}-{secrets.token_hex(4)}",
            password=secrets.token_urlsafe(16),
        )

    @asynccontextmanager
    async def user(self, server: RunningHomeServer, name: str) -> AsyncIterator[User]:
        """A new user of a server, logged in, whose name begins so."""
        async with self.person(server, name) as user:
            await user.sign_up()
            yield user

    @asynccontextmanager
    async def administrator(self) -> AsyncIterator[User]:
        """A new administrator of `full`, logged in."""
        secret = self.full.kube.get("secret", "full-registration")["data"]["secret"]
        async with self.person(self.full, "root") as user:
            await user.sign_up_as_administrator(base64.b64decode(secret).decode())
            yield user

    @asynccontextmanager
    async def pair(self) -> AsyncIterator[tuple[User, User, str]]:
        """Two new users of `full` and a room that both are in and have seen."""
        async with self.user(self.full, "alice") as alice, self.user(self.full, "bob") as bob:
            room = await alice.create_room("a room for two")
            await bob.join(room)
            for user in (alice, bob):
                await user.sync(room, milliseconds=0)
            yield alice, bob, room


def bring_up(installation: Installation, domain: str, directory: Path) -> Live:
    """Make both homeservers and what they report to, and wait until all of it is ready.

    `directory` takes the files of a certificate authority that both trust.
    """
    resources = yaml.safe_load(Template(RESOURCES.read_text()).substitute(domain=domain))
    full, small = (RunningHomeServer(installation, resource) for resource in resources["items"])
    kube, recording = installation.kube, Recording(installation.kube)
    authority = Authority(directory)
    authority.create()
    bridge = recording.registration(users=[{"exclusive": True, "regex": "@bridged-.*"}])
    kube.apply(
        config_map("authority", {"ca.crt": authority.certificate.read_text()}),
        secret("bridge", {"registration.yaml": yaml.safe_dump(bridge)}),
        *(tls_secret(authority, server.name, _hosts(server)) for server in (full, small)),
    )
    recording.start()
    # The large one first: all of its processes become ready together, and so late.
    for server in (full, small):
        server.apply(server.resource)
    for server in (full, small):
        server.wait_ready(seconds=STARTS)
    _wait_answering(full, small)
    log = installation.cluster.audit_log
    return Live(
        full,
        small,
        recording,
        bridge,
        ready_at=time.monotonic(),
        pods=full.pods(),
        audit=Audit(log) if log else None,
    )


def _wait_answering(full: RunningHomeServer, small: RunningHomeServer) -> None:
    """Until the ingress controller knows all of it: servers remember for long who was not there."""
    ingress = full.installation.cluster.ingress
    paths = {class_of(path): path for path in (s.path.translate(BARE) for s in samples()[::-1])}
    wait_answering(ingress, full.host, paths.values())
    wait_answering(ingress, small.host)
    for server in (full, small):
        wait_answering(ingress, server.server_name, ["/.well-known/matrix/server"])
        wait_answering(ingress, _federation_host(server), ["/_matrix/federation/v1/version"])


def take_away(live: Live) -> None:
    """Remove all of it, data included."""
    live.recording.stop()
    kube = live.full.kube
    kube.run("delete", "homeserver", "full", "small")
    kube.run("wait", "--for=delete", "pod", f"--selector={SELECTOR}", "--timeout=120s")
    kube.run("delete", "secret,pvc", f"--selector={SELECTOR}")
    kube.run(
        "delete", "configmap/authority", "secret/bridge", "secret/full-tls", "secret/small-tls"
    )


def _hosts(server: RunningHomeServer) -> set[str]:
    return {server.server_name, server.host, _federation_host(server)}


def _federation_host(server: RunningHomeServer) -> str:
    ingress = server.resource["spec"]["ingress"]
    return str(ingress.get("federation", ingress)["host"])
