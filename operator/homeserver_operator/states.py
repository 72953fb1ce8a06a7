"""What the launchers of Synapse's pods say of themselves: `GET /state` on the probe port.

A pod that does not answer is absent, never an error: it may be starting, gone or unreachable.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple

import aiohttp

from homeserver_operator.api.names import PROBE_PORT, ROLE_LABEL
from homeserver_operator.api.world import Object
from homeserver_operator.fences import holds_fences

State = Mapping[str, Any]

TIMEOUT: Final = 2.0
CONCURRENCY: Final = 16
LARGEST: Final = 64 * 1024
ROLES: Final = frozenset({"main", "worker"})

FRESH_FOR: Final = 300.0
"""How long the answer of a serving pod is believed while the pod's object does not change.

Only phase `serving` with all fences is remembered: in every other the launcher gets on without its
pod's object changing.
"""


class _Remembered(NamedTuple):
    resource_version: str
    until: float
    state: State


class States:
    """Asks pods for their state; use as a context manager, it owns connections."""

    def __init__(self, clock: Callable[[], float], *, port: int = PROBE_PORT) -> None:
        self._clock = clock
        self._port = port
        self._remembered: dict[str, _Remembered] = {}
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "States":
        """Open the session; proxies of the environment do not concern pod addresses."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            # A drained pod's connection must not be found again at its address's next owner.
            connector=aiohttp.TCPConnector(force_close=True),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def of(self, pods: Iterable[Object]) -> dict[str, State]:
        """Ask every running Synapse pod among `pods`; answers by pod name."""
        asked = [pod for pod in pods if _runs_synapse(pod)]
        answers = await asyncio.gather(*(self._state(pod) for pod in asked))
        return {
            pod["metadata"]["name"]: answer
            for pod, answer in zip(asked, answers, strict=True)
            if answer is not None
        }

    async def _state(self, pod: Object) -> State | None:
        uid, version = pod["metadata"]["uid"], pod["metadata"]["resourceVersion"]
        known = self._remembered.get(uid)
        if known and known.resource_version == version and self._clock() < known.until:
            return known.state
        async with self._slots:
            state = await self._ask(pod["status"]["podIP"])
        self._remembered.pop(uid, None)
        if state is not None and state.get("phase") == "serving" and holds_fences(state, pod):
            self._remembered[uid] = _Remembered(version, self._clock() + FRESH_FOR, state)
        self._forget_old()
        return state

    async def _ask(self, address: str) -> State | None:
        if self._session is None:
            msg = "States is a context manager: enter it first"
            raise RuntimeError(msg)
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(f"http://{host}:{self._port}/state") as response:
                if response.status != 200:
                    return None
                state = json.loads(await _limited(response))
        # Nesting can be too deep for the parser: a pod is not trusted to be sensible.
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, RecursionError):
            return None
        return state if isinstance(state, dict) else None

    def _forget_old(self) -> None:
        now = self._clock()
        while self._remembered:
            # Insertion order is order of expiry, because every entry lives equally long.
            uid, oldest = next(iter(self._remembered.items()))
            if now < oldest.until:
                return
            del self._remembered[uid]


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    """Read an answer of bounded size; ValueError if it is larger."""
    read = bytearray()
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) > LARGEST:
            msg = "the answer is too large"
            raise ValueError(msg)
    return bytes(read)


def _runs_synapse(pod: Object) -> bool:
    labels = pod["metadata"].get("labels") or {}
    status = pod.get("status") or {}
    return (
        labels.get(ROLE_LABEL) in ROLES
        and status.get("phase") == "Running"
        and bool(status.get("podIP"))
    )
