"""Two homeservers that know each other, and people of both in the same rooms."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import yaml

from e2e.cluster.pki import Authority
from e2e.product.accounts import misheard, unacknowledged, wrongly_bridged, wrongly_pushed
from e2e.product.database import Database, managed
from e2e.product.homeserver import RunningHomeServer
from e2e.product.http import wait_answering
from e2e.product.installation import Installation
from e2e.product.kube import Object, WaitError, eventually
from e2e.product.matrix import User
from e2e.product.objects import config_map, secret, tls_secret
from e2e.product.postgres import make_another
from e2e.product.recording import Recording
from e2e.product.talk import CLIENT, Heard, Talkers, history
from e2e.tests.switch.changes import resources

STARTS = 600.0
STORES = frozenset({"postgres", "redis"})
"""The hub's processes that are not Synapse's, and that no switch concerns."""
ROOMS = 3
PUSH_PATH = "/_matrix/push/v1/notify"
PEER_DATABASE = "peer-database"
SELECTOR = "homeserver-operator.io/homeserver in (hub, peer)"


@dataclass(frozen=True)
class Talk:
    """What people at both homeservers say while it lasts, and what came of it afterwards."""

    talkers: Talkers
    listener: str
    pushkey: str
    # Each room's messages as its history has them in the end, here and at the other homeserver.
    histories: dict[str, list[Heard]]
    abroad: dict[str, list[Heard]]
    guest: str

    def wrongs(
        self, recording: Recording, *, pushed_once: bool = True, bridged_once: bool = True
    ) -> list[str]:
        """Everything that was lost, doubled or disordered, in words.

        Who dies in the middle of a push cannot know whether it arrived: then `pushed_once` asks for
        too much, and nothing may be lost all the same. So does `bridged_once`, where Synapse has
        handed on an event and then cannot write down that it has.
        """
        messages, wrongs = self.talkers.messages, []
        wrongs += [f"never acknowledged: {text}" for text in unacknowledged(messages)]
        for user, listener in self.talkers.listeners.items():
            heard = listener.heard
            if listener.gaps and user == self.guest:
                # After a pause Synapse sends other servers the latest event, and they fetch those
                # before: a sync has a gap then, and clients read what is in it from the history.
                heard = [each for room in self.abroad.values() for each in room]
            wrongs += [f"heard by {user}: {text}" for text in misheard(messages, heard)]
            if listener.gaps and user != self.guest:
                wrongs.append(f"heard by {user}: {listener.gaps} gaps")
        read = [heard for room in self.histories.values() for heard in room]
        wrongs += [f"in the room: {text}" for text in misheard(messages, read)]
        wrongs += self._wrongly_pushed(recording, once=pushed_once)
        wrongs += self._wrongly_bridged(recording, once=bridged_once)
        return wrongs

    def _wrongly_bridged(self, recording: Recording, *, once: bool) -> list[str]:
        def wrong() -> list[str]:
            bridged = [
                event["event_id"]
                for record in recording.transactions().values()
                for event in record.content["events"]
            ]
            return wrongly_bridged(self.talkers.messages, _counted(bridged, once=once))

        return _in_the_end(wrong, what="everything at the application service")

    def _wrongly_pushed(self, recording: Recording, *, once: bool) -> list[str]:
        def wrong() -> list[str]:
            pushed = [
                record.content["notification"]["event_id"]
                for record in recording.received(PUSH_PATH)
                if record.content["notification"]["devices"][0]["pushkey"] == self.pushkey
                and "event_id" in record.content["notification"]
            ]
            return wrongly_pushed(self.talkers.messages, self.listener, _counted(pushed, once=once))

        return _in_the_end(wrong, what="all pushes")


def _counted(events: list[str], *, once: bool) -> list[str]:
    """In any case at least once."""
    return events if once else list(dict.fromkeys(events))


def _in_the_end(wrong: Callable[[], list[str]], *, what: str) -> list[str]:
    try:
        return eventually(wrong, lambda found: not found, what=what, seconds=60)
    except WaitError:
        return wrong()


@dataclass(frozen=True)
class Pair:
    """`hub` is changed, `peer` is the rest of the world; both have their database on one server."""

    hub: RunningHomeServer
    peer: RunningHomeServer
    recording: Recording

    @property
    def database(self) -> Database:
        """The hub's; its address is another one when the hub has been made anew."""
        return managed(self.hub.kube, self.hub.name)

    @contextmanager
    def talk(self) -> Iterator[Talk]:
        """Three people of the hub and one of the peer talk in several rooms until the end."""
        box: list[Talk | BaseException] = []
        begun = threading.Event()
        thread = threading.Thread(target=self._run, args=(box, begun), daemon=True)
        thread.start()
        begun.wait()
        if isinstance(found := box[0], BaseException):
            raise found
        try:
            found.talkers.flows()
            yield found
        finally:
            found.talkers.stop()
            thread.join()
        for failure in box[1:]:
            raise AssertionError from failure  # type: ignore[misc]

    def _run(self, box: list[Talk | BaseException], begun: threading.Event) -> None:
        try:
            asyncio.run(self._talk(box, begun))
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            box.append(error)
        finally:
            begun.set()

    async def _talk(self, box: list[Talk | BaseException], begun: threading.Event) -> None:
        async with AsyncExitStack() as stack:
            alice, bob, carol = [
                await stack.enter_async_context(self._person(self.hub, name))
                for name in ("alice", "bob", "carol")
            ]
            guest = await stack.enter_async_context(self._person(self.peer, "guest"))
            for user in (alice, bob, carol, guest):
                await user.sign_up()
            rooms = [await self._meet(alice, (bob, carol, guest)) for _ in range(ROOMS)]
            key = secrets.token_hex(8)
            await bob.ask("POST", f"{CLIENT}/pushers/set", self._pusher(key))
            talkers = Talkers((alice, bob, carol, guest), (bob, guest), rooms)
            talk = Talk(talkers, bob.id, key, {}, {}, guest.id)
            box.append(talk)
            begun.set()
            await talkers.run()
            for room in rooms:
                talk.histories[room] = await history(bob, room)
                talk.abroad[room] = await history(guest, room)

    def _pusher(self, key: str) -> Object:
        return {
            "kind": "http",
            "app_id": "org.example.e2e",
            "app_display_name": "e2e",
            "device_display_name": "phone",
            "pushkey": key,
            "lang": "en",
            "data": {"url": self.recording.url + PUSH_PATH, "format": "event_id_only"},
        }

    def _person(self, server: RunningHomeServer, name: str) -> User:
        return User(
            ingress=server.installation.cluster.ingress,
            host=server.host,
            name=f"{name}-{secrets.token_hex(4)}",
            password=secrets.token_urlsafe(16),
        )

    async def _meet(self, host: User, others: tuple[User, ...]) -> str:
        alias = f"room-{secrets.token_hex(4)}"
        room = await host.create_room("a room", alias=alias)
        for user in others:
            name = f"#{alias}:{self.hub.server_name}"
            await user.ask("POST", f"{CLIENT}/join/{quote(name)}", {})
        return room


def bring_up(installation: Installation, directory: Path) -> Pair:
    """Make both homeservers and what they report to, and wait until all of it is ready.

    `directory` takes the files of a certificate authority that both trust.
    """
    hub, peer = (RunningHomeServer(installation, resource) for resource in resources())
    kube, recording = installation.kube, Recording(installation.kube)
    bridge = recording.registration(rooms=[{"exclusive": False, "regex": ".*"}])
    authority = Authority(directory)
    authority.create()
    password = secrets.token_urlsafe(16)
    kube.apply(
        config_map("authority", {"ca.crt": authority.certificate.read_text()}),
        secret("bridge", {"registration.yaml": yaml.safe_dump(bridge)}),
        secret(PEER_DATABASE, {"username": "peer", "password": password}),
        *(tls_secret(authority, server.name, {server.host}) for server in (hub, peer)),
    )
    recording.start()
    hub.apply(hub.resource)
    hub.wait_ready(seconds=STARTS)
    make_another(kube, hub.name, "peer", password)
    peer.apply(peer.resource)
    peer.wait_ready(seconds=STARTS)
    for server in (hub, peer):
        # Servers remember for long who was not there.
        wait_answering(installation.cluster.ingress, server.host)
        wait_answering(installation.cluster.ingress, server.host, ["/.well-known/matrix/server"])
        wait_answering(
            installation.cluster.ingress, server.host, ["/_matrix/federation/v1/version"]
        )
    pair = Pair(hub, peer, recording)
    pair.database.note_writes()
    return pair


def take_away(pair: Pair) -> None:
    """Remove all of it, data included."""
    kube = pair.hub.kube
    pair.recording.stop()
    kube.run("delete", "homeserver", pair.hub.name, pair.peer.name)
    kube.run("wait", "--for=delete", "pod", f"--selector={SELECTOR}", "--timeout=120s")
    kube.run("delete", "secret,pvc", f"--selector={SELECTOR}")
    kube.run(
        *("delete", "configmap/authority", "secret/bridge", f"secret/{PEER_DATABASE}"),
        *("secret/hub-tls", "secret/peer-tls"),
    )
