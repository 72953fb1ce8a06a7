"""HAProxy, as its master process tells and obeys.

Everything goes through the master's socket: the master knows which of its processes serves, and
lives as long as any of them. No decisions here.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MASTER: Final = "master.sock"
SCRIPT: Final = Path(__file__).with_name("servers.lua")
"""What HAProxy must load to obey `plan.commands`, in whichever of its processes."""
SECONDS: Final = 5.0
RELOAD_SECONDS: Final = 15.0
"""From 2.7 on the master answers when the new process has read its configuration."""
BATCH: Final = 50
"""Commands in one line: the master reads them into one buffer."""


class HAProxyError(Exception):
    """HAProxy does not answer, or not as it should."""


class Worker(NamedTuple):
    """A process that serves; `current` is False of one that only finishes."""

    pid: int
    current: bool


class HAProxy:
    """The master process at its socket."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def workers(self) -> list[Worker]:
        """All processes that serve, the newest first.

        Raises:
            HAProxyError: if there is no master.

        """
        return parse_processes(await self._ask("show proc"))

    async def tell(self, pid: int, commands: Sequence[str]) -> str:
        """Send commands to one process; return all that it says to them."""
        said: list[str] = []
        for start in range(0, len(commands), BATCH):
            batch = commands[start : start + BATCH]
            said.append(await self._ask("; ".join(f"@!{pid} {command}" for command in batch)))
        return "".join(said)

    async def ask(self, pid: int, command: str) -> str:
        """The answer of one process to one command."""
        return await self._ask(f"@!{pid} {command}")

    async def description(self, pid: int) -> str:
        """The name of the configuration that a process runs."""
        found = re.search(r"^description:[ ]*(\S*)", await self.ask(pid, "show info"), re.MULTILINE)
        return found[1] if found else ""

    async def reload(self) -> None:
        """Let a new process read the configuration; the old one finishes what it has."""
        await self._ask("reload", RELOAD_SECONDS)

    async def _ask(self, line: str, seconds: float = SECONDS) -> str:
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_unix_connection(str(self._socket))
                try:
                    writer.write(line.encode() + b"\n")
                    writer.write_eof()
                    return (await reader.read()).decode(errors="replace")
                finally:
                    writer.close()
        except (TimeoutError, OSError) as error:
            raise HAProxyError(f"HAProxy does not answer: {error or 'timeout'}") from error


def parse_processes(text: str) -> list[Worker]:
    """The master's answer to `show proc`."""
    found: list[Worker] = []
    current = True
    for line in text.splitlines():
        if line.startswith("# old"):
            current = False
        words = line.split()
        if len(words) > 1 and words[0].isdigit() and words[1] == "worker":
            found.append(Worker(int(words[0]), current))
    return found
