"""Ends a serving process without failing a request that it has accepted.

On SIGTERM: no new client connections, at once if a successor waits to whom late comers can be led,
else after a time, in which they are served; long polls answered early with valid bodies, keep-alive
ended politely, requests and inbound events in hand finished. The replication listener stays open
until no process that stops with this one needs it. Then the reactor stops. All within a bound.
"""

from __future__ import annotations

import inspect
import logging
import time
from typing import TYPE_CHECKING, Any

from synapse.http.site import SynapseSite
from synapse.logging.context import PreserveLoggingContext
from twisted.internet import tcp

from homeserver_runtime import appservices, inbound, pushing
from homeserver_runtime.connections import has_unread
from homeserver_runtime.listeners import listeners, serves_peers
from homeserver_runtime.sockets import BACKLOG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from homeserver_runtime.fence.peers import Answer, Peers
    from homeserver_runtime.sockets import Sockets

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 25.0
"""The bound. A pod's termination grace period must be longer by what Synapse's own stop takes, and
by the relay's END_SECONDS."""

PEERS_SECONDS = 0.3
"""Time for the signals of processes that stop together to arrive. In a switch they may take longer,
and whoever has not got one is waited for: see docs/fences.md."""
SILENCE_SECONDS = 5.0
"""Without an answer for so long the database is away, and with it every reason to wait for others.
It restarts in less."""
INBOUND_SECONDS = 1.0
"""For so long staged events are handled on; what a busy room has after that stays staged."""

STILL_COME_SECONDS = 1.5
"""For so long at least some are still led here: kube-proxy takes half a second to learn that others
serve, and a second more if it has just learnt something else."""
QUIET_SECONDS = 0.3
"""After that, when nobody new has come for so long, most are led to others. Where they wait already
for this process to go, it must not take longer; else it takes all of its time."""

PUSHING_SECONDS = 3.0
"""A push gateway that takes longer is not waited for; it may be pushed the same once more."""

BRIDGING_SECONDS = 1.5
"""An application service that takes longer is not, either: what it was sent comes once more, under
the id by which it is to know it, and what is left comes from the next process."""

_STEP_SECONDS = 0.02
# How long a connection without a request is kept for one that may be under way already.
_IDLE_SECONDS = 0.2


class Drain:
    """The draining of one homeserver; every method runs in the reactor's thread."""

    def __init__(
        self,
        homeserver: Any,
        *,
        on_begin: Callable[[], None],
        sockets: Sockets,
        peers: Peers | None = None,
        late_seconds: float = 0,
        seconds: float = DRAIN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._homeserver = homeserver
        self._reactor = homeserver.get_reactor()
        self._on_begin = on_begin
        self._sockets = sockets
        self._peers = peers
        self._late_seconds = late_seconds
        self._seconds = seconds
        self._clock = clock
        self._asked = False
        self._began = 0.0
        self._idle = False
        self._clients: list[tuple[tcp.Port, SynapseSite]] = []
        self._latest = 0.0
        self._closed = False
        self.successors: tuple[str, ...] = ()
        """Addresses to which clients are to be led who come when this process is closed to them;
        none: they are refused."""
        self._replication: list[tuple[tcp.Port, SynapseSite]] = []
        self._replication_closed = False
        self._leaves: Any = None

    def terminate(self) -> None:
        """What SIGTERM asks for: drains; asked again, stops at once."""
        if self._asked:
            logger.warning("Asked to stop a second time; stopping at once")
            self._stop()
            return
        self._asked = True
        self._on_begin()
        tags = _replication_tags(self._homeserver.config)
        for port, site in list(_listeners(self._reactor)):
            (self._replication if site.site_tag in tags else self._clients).append((port, site))
        self._began = self._latest = self._clock()
        for _port, site in self._clients:
            _tell_of_late_comers(site, self._came)
        self._step()

    def _came(self) -> None:
        self._latest = self._clock()

    def _close_to_clients(self) -> None:
        self._closed = True
        self._began = self._clock()
        for port, site in self._clients:
            _stop_accepting(port, site, refusing=not self.successors)
        if not self.successors:
            self._sockets.close()
        _answer_polls_at_once(self._homeserver.get_notifier())
        pushing.begin_no_more(self._homeserver)
        appservices.begin_no_more(self._homeserver)
        inbound.leave_staged(
            self._homeserver, when=lambda: self._idle or self._elapsed() > INBOUND_SECONDS
        )

    def _elapsed(self) -> float:
        return self._clock() - self._began

    def _step(self) -> None:
        try:
            finished = self._advance(self._elapsed())
        except Exception:
            logger.exception("Draining failed; stopping at once")
            finished = True
        if finished:
            self._stop()
        else:
            self._reactor.callLater(_STEP_SECONDS, self._step)

    def _advance(self, elapsed: float) -> bool:
        """Does what can be done after `elapsed` seconds; True when nothing is left to wait for."""
        sites = [site for _port, site in self._clients]
        if not self._closed:
            if sites and self._serves_late_comers(elapsed):
                for site in sites:
                    _part_politely(site, close_idle=False)
                if self._peers:
                    self._peers.say(busy=True)
                return False
            self._close_to_clients()
            elapsed = self._elapsed()
        _wake_polls(self._homeserver.get_notifier())
        busy = sum(_part_politely(site, close_idle=elapsed >= _IDLE_SECONDS) for site in sites)
        busy += inbound.in_hand(self._homeserver)
        self._idle = not busy
        if self._peers:
            self._peers.say(busy=bool(busy), asks=bool(self._replication))
        waits = f"{busy} requests and inbound events" if busy else ""
        if not busy and self._needed(self._peers, elapsed):
            waits = "others who need this process"
        if not waits:
            self._close_replication()
            left = sum(_part_politely(site, close_idle=True) for _, site in self._replication)
            waits = f"{left} requests of other processes" if left else ""
        if not waits and elapsed < PUSHING_SECONDS and pushing.in_hand(self._homeserver):
            waits = "pushes under way"
        if not waits and self._bridging(elapsed):
            waits = "what application services are sent"
        if not waits:
            logger.info("Drained in %.2f s", elapsed)
            return True
        if elapsed > self._seconds:
            logger.warning("Stopping after %.0f s in spite of %s", elapsed, waits)
            return True
        return False

    def _bridging(self, elapsed: float) -> bool:
        """Whether application services are being sent something, or it is being written down."""
        if self._leaves is None:
            if elapsed < BRIDGING_SECONDS:
                return bool(appservices.in_hand(self._homeserver))
            self._leaves = self._homeserver.run_as_background_process(
                "drain_appservices", appservices.leave, self._homeserver
            )
        return not self._leaves.called

    def _serves_late_comers(self, elapsed: float) -> bool:
        answer = self._answer(self._peers)
        if answer and answer.successors:
            self.successors = answer.successors
            return False
        if answer and answer.hurried and elapsed >= STILL_COME_SECONDS:
            return elapsed < self._late_seconds and self._clock() - self._latest < QUIET_SECONDS
        return elapsed < self._late_seconds

    def _answer(self, peers: Peers | None) -> Answer | None:
        """What was answered to a question of this drain's."""
        answer = peers.answer if peers else None
        return answer if answer and answer.asked >= self._began else None

    def _needed(self, peers: Peers | None, elapsed: float) -> bool:
        """Whether a process that stops with this one may still ask it for something."""
        if peers is None or not self._replication or self._replication_closed:
            return False
        answer = peers.answer
        if answer is None or answer.asked < self._began + PEERS_SECONDS:
            return elapsed < PEERS_SECONDS + SILENCE_SECONDS
        return answer.needed and self._clock() - answer.asked < SILENCE_SECONDS

    def _close_replication(self) -> None:
        if not self._replication_closed:
            self._replication_closed = True
            for port, site in self._replication:
                _stop_accepting(port, site)

    def _stop(self) -> None:
        if self._reactor.running:
            self._reactor.stop()


def _listeners(reactor: Any) -> Iterator[tuple[tcp.Port, SynapseSite]]:
    """The listening ports of Synapse's HTTP sites; only main keeps a list of its own."""
    for reader in reactor.getReaders():
        if isinstance(reader, tcp.Port):
            # TLS wraps the site in a factory of its own.
            site = getattr(reader.factory, "wrappedFactory", reader.factory)
            if isinstance(site, SynapseSite):
                yield reader, site


def _replication_tags(config: Any) -> set[str]:
    """Tags of the sites that serve other processes and nobody else."""
    return {listener.get_site_tag() for listener in listeners(config) if serves_peers(listener)}


def _stop_accepting(port: tcp.Port, site: SynapseSite, *, refusing: bool = True) -> None:
    # Whoever stands in the kernel's queue has been accepted as far as he knows: closing the
    # socket would reset him.
    if refusing:
        # Left alone, Twisted takes about as many at once as it last found.
        port.numberAccepts = BACKLOG
        port.doRead()
    # With its last port a site closes every connection and forgets its resources.
    site.numPorts += 1
    port.stopListening()


def _tell_of_late_comers(site: SynapseSite, came: Callable[[], None]) -> None:
    """Has `came` called for each new connection of `site`, which ends with its first request."""
    build = site.buildProtocol

    def build_and_tell(address: Any) -> Any:
        came()
        channel = build(address)
        channel.checkPersistence = _no_persistence
        return channel

    site.buildProtocol = build_and_tell


def _part_politely(site: SynapseSite, *, close_idle: bool) -> int:
    """Lets each connection of `site` end with its present request; returns how many are left."""
    for channel in list(site.connections):
        if channel.requests:
            # Tells the client, and makes Twisted close when the response is out.
            channel.persistent = False
            for request in channel.requests:
                if not request.startedWriting:
                    request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        else:
            # Not persistent=False: Twisted would then drop a request that is just arriving.
            channel.checkPersistence = _no_persistence
            if close_idle and not has_unread(channel.transport.getHandle()):
                channel.loseConnection()
    return len(site.connections)


def _no_persistence(request: Any, _version: bytes) -> bool:
    request.responseHeaders.setRawHeaders(b"connection", [b"close"])
    return False


def _answer_polls_at_once(notifier: Any) -> None:
    """Long polls that begin from now on answer with what there is."""
    wait_for_events = notifier.wait_for_events

    parameters = inspect.signature(wait_for_events)

    async def answer_at_once(*args: Any, **kwargs: Any) -> Any:
        call = parameters.bind(*args, **kwargs)
        call.arguments["timeout"] = 0
        return await wait_for_events(*call.args, **call.kwargs)

    notifier.wait_for_events = answer_at_once


def _wake_polls(notifier: Any) -> None:
    """Long polls that wait go on as if their time were up, and answer with a valid body."""
    with PreserveLoggingContext():
        for stream in list(notifier.user_to_user_stream.values()):
            for listener in list(stream.listeners):
                listener.cancel()
