"""Takes a process's fences, watches over them, and lets nobody use the database without them.

One thread owns the lock session from the first connection to the last. Ends the process, through
whoever it is told to ask, when the fences are lost for good.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.errors import LockNotAvailable

from homeserver_runtime.fence.peers import Peers
from homeserver_runtime.fence.reserve import Reserve
from homeserver_runtime.fence.session import Connection, cut, make, prepare
from homeserver_runtime.fence.statements import ADMIT, AWAIT, ENTER, Answer, ask
from homeserver_runtime.fence.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from homeserver_runtime.fence.claim import Claim

logger = logging.getLogger(__name__)

RETAKE_SECONDS = 30.0
"""How long a process without its fences tries to get them back before it ends."""

LOOK_AGAIN_SECONDS = 5
"""A waiter notices by then that something newer has come."""

_LOOK_BACK_SECONDS = 1.0
"""Between two looks of a waiter whether those are back to whom it yields."""
_PAUSE_SECONDS = 0.2
_LEAVE_SECONDS = 5.0
_LARGEST_HOLDER = 0x7FFFFFFF


class SupersededError(Exception):
    """A later epoch has been entered, or this one by others: this process must never run.

    `fence` and `epoch` name what was entered. It is the process's own epoch if that one's holders
    agreed on something else, in an earlier life of the homeserver.
    """

    def __init__(self, fence: str, epoch: int) -> None:
        super().__init__(f"epoch {epoch} of the fence {fence} has been entered")
        self.fence = fence
        self.epoch = epoch


class FenceLostError(psycopg2.OperationalError):  # type: ignore[misc]
    """The process does not hold its fences now; Synapse takes it for a lost connection."""


class Fence:
    """The fences of one process.

    Args:
        claim: what to hold.
        connect: opens a connection to the database, or raises psycopg2.Error.
        waits_for: is told what this process waits for, None when it no longer does.
        ends: is told why the process must end, if it must.
        recorded: is told at every look the highest epochs that the claimed fences ever had.
        holds: is told whether the fences are held, whenever that changes before it leaves.
        retake_seconds: how long it tries to get fences back that it held, before it ends.
        yield_seconds: how long a waiter whose session was lost lets others go first once the
            database is back.
        first_yield_seconds: the same for one that comes to the fence for the first time, if it is
            to begin a switch; none where the database was never away.
        reserve: connections that are used first, once they are admitted.

    All that is called is called in the fence's own thread.

    """

    def __init__(
        self,
        claim: Claim,
        connect: Callable[[], Any],
        *,
        waits_for: Callable[[str | None], None],
        ends: Callable[[str], None],
        recorded: Callable[[Mapping[str, int]], None] = lambda _epochs: None,
        holds: Callable[[bool], None] = lambda _held: None,
        retake_seconds: float = RETAKE_SECONDS,
        yield_seconds: float,
        first_yield_seconds: float = 0.0,
        reserve: Reserve | None = None,
    ) -> None:
        self._claim = claim
        self._connect = connect
        self._waits_for = waits_for
        self._ends = ends
        self._recorded = recorded
        self._holds = holds
        self._retake_seconds = retake_seconds
        self._yield_seconds = yield_seconds
        self._first_yield_seconds = first_yield_seconds
        self._reserve = reserve or Reserve()
        self._lock = threading.Lock()
        self._holder: int | None = None
        self._session: Any = None
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._leaving = False
        self._settled = threading.Event()
        self._refusal: SupersededError | None = None
        self._waker = Waker()
        self.peers = Peers(claim, self._waker.wake)
        self._thread = threading.Thread(target=self._own, name="fence", daemon=True)

    @property
    def held(self) -> bool:
        """Whether this process holds its fences, as far as it knows."""
        return self._holder is not None

    def enter(self) -> None:
        """Returns once all fences are held; signals of Python's are served meanwhile.

        Raises:
            SupersededError: if a later epoch of one of them has ever been entered, or the same
                with another content.

        """
        self._thread.start()
        self._settled.wait()
        if self._refusal:
            raise self._refusal

    def open(self, dsn: str, **arguments: Any) -> Any:
        """psycopg2's connection_factory: a connection that holds the fences too.

        Raises:
            FenceLostError: if this process does not hold them.
            psycopg2.Error: if the database cannot be used.

        """
        holder = self._holder
        if holder is None:
            raise FenceLostError("this process does not hold its fences")
        connection = self._reserve.take(dsn) or make(dsn, **arguments)
        try:
            admitted = self._admit(connection, holder)
        except BaseException:
            connection.close()
            raise
        if not admitted:
            connection.close()
            raise FenceLostError("this process has lost its fences")
        return connection

    def leave(self) -> None:
        """Gives the fences up and cuts every connection, whatever query it runs.

        For a process that has stopped, or does nothing else any more. Not in the fence's thread.
        """
        self._leaving = True
        self._reserve.close()
        self._waker.wake()
        # It may sleep on the server.
        if self._session is not None:
            cut(self._session)
        # Who is connecting just now holds nothing, and may take as long as the network lets it.
        if self._thread.is_alive():
            self._thread.join(_LEAVE_SECONDS)

    def _admit(self, connection: Any, holder: int) -> bool:
        if ask(connection, ADMIT, self._claim, holder).outcome != "admitted":
            return False
        connection.autocommit = False
        with self._lock:
            # Who was lost in between has cut all connections that it knew, and this one not.
            if self._holder != holder:
                return False
            self._open.add(connection)
        return True

    def _own(self) -> None:
        try:
            self._hold()
        except Exception as error:
            # Without its thread a process would go on, and refuse whoever asks it.
            logger.exception("The fences' thread failed")
            self._ends(f"the fences' thread failed: {error!r}")

    def _hold(self) -> None:
        deadline: float | None = None
        lost = False
        while not self._leaving:
            try:
                with contextlib.closing(self._connected()) as session:
                    if self._leaving:
                        return
                    if not self._settled.is_set():
                        self._yield(session, lost=lost)
                    self._take(session, deadline)
                    deadline = None
                    self._settled.set()
                    self._watch(session)
            except SupersededError as error:
                self._refuse(error)
                return
            except psycopg2.Error as error:
                if self._leaving:
                    return
                lost = True
                logger.warning("The fences' connection failed: %s", str(error).strip())
                self._waits_for(f"the database: {str(error).strip()}")
            finally:
                self._lose()
            if self._settled.is_set() and not self._leaving:
                deadline = deadline or time.monotonic() + self._retake_seconds
                if time.monotonic() > deadline:
                    self._ends(f"lost the fences for {self._retake_seconds:.0f} s")
                    return
            self._waker.sleep(seconds=_PAUSE_SECONDS)

    def _connected(self) -> Any:
        self._session = session = self._connect()
        session.autocommit = True
        prepare(session)
        with session.cursor() as cursor:
            # Else what stands in the table could be read as it was before the gate opened.
            cursor.execute("SET default_transaction_isolation = 'read committed'")
        return session

    def _yield(self, session: Any, *, lost: bool) -> None:
        """Lets those go first who held the fences before the database was away.

        Until one of them is back, for a while at most: else it would be chance whether a switch
        begins that nobody has begun.
        """
        seconds = self._yield_seconds if lost else self._first_yield_seconds
        until = time.monotonic() + seconds
        while not self._leaving and (left := until - time.monotonic()) > 0:
            answer = self._ask(session, 0, yields=True)
            # A namesake can be replaced without a switch, too, by who was already waiting for it.
            if answer.outcome != "free" or not (lost or answer.begins):
                return
            self._waits_for("those who ran before the database was away")
            self._waker.sleep(seconds=min(left, _LOOK_BACK_SECONDS))

    def _take(self, session: Any, deadline: float | None) -> None:
        """Raises psycopg2.Error if it has waited until `deadline`, or if this process leaves."""
        holder = secrets.randbelow(_LARGEST_HOLDER)
        while (answer := self._ask(session, holder)).outcome != "entered":
            if answer.outcome == "superseded":
                raise SupersededError(answer.fence or "", answer.epoch)
            if self._leaving or (deadline is not None and time.monotonic() > deadline):
                raise psycopg2.OperationalError(f"given up waiting for {_whom(answer)}")
            self._waits_for(_whom(answer))
            self.peers.announce(session)
            self._await(session, answer.pid)
        self.peers.entered(session)
        with self._lock:
            self._holder = holder
        self._waits_for(None)
        self._holds(True)

    def _ask(self, session: Any, holder: int, *, yields: bool = False) -> Answer:
        answer = ask(session, ENTER, self._claim, holder, yields=yields)
        self._recorded(answer.recorded)
        return answer

    def _await(self, session: Any, pid: int) -> None:
        """Sleeps on the server until a backend has ended, for a while at most.

        On that backend's own key: asking for the fence itself would queue before the processes of
        the epoch that still lives, and keep them from restarting.
        """
        with session.cursor() as cursor, contextlib.suppress(LockNotAvailable):
            cursor.execute(f"SET lock_timeout = '{LOOK_AGAIN_SECONDS}s'")
            cursor.execute(AWAIT, (pid, pid))
        with session.cursor() as cursor:
            cursor.execute("SET lock_timeout = 0")

    def _watch(self, session: Any) -> None:
        """Returns when this process leaves; raises psycopg2.Error when the session has ended."""
        while not self._leaving:
            # First of all: what was said on a session before is forgotten with it.
            self.peers.exchange(session)
            if self._waker.sleep(session, seconds=self.peers.pause):
                # The server says nothing unasked but that it ends, or that a setting changed.
                session.poll()
                if session.closed:
                    raise psycopg2.OperationalError("the connection was closed")

    def _lose(self) -> None:
        """From now on nothing of this process reaches the database."""
        with self._lock:
            held, self._holder = self._holder is not None, None
            connections, self._open = list(self._open), weakref.WeakSet()
        for connection in connections:
            cut(connection)
        if held and not self._leaving:
            self._holds(False)

    def _refuse(self, error: SupersededError) -> None:
        if self._settled.is_set() and not self._leaving:
            self._ends(f"superseded: {error}")
        self._refusal = error
        self._settled.set()


def _whom(answer: Answer) -> str:
    return answer.who or f"the database session {answer.pid}"
