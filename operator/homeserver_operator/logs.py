"""Logs as JSON lines on standard output, each with the HomeServer that it is about.

The standard library's logging does it: kopf and aiohttp log there too. Nobody logs bodies.
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

from homeserver_operator.api.world import Key

_homeserver: Final[ContextVar[Key | None]] = ContextVar("homeserver", default=None)


@contextmanager
def about(key: Key) -> Iterator[None]:
    """Name the HomeServer in every line that this context and its tasks log."""
    token = _homeserver.set(key)
    try:
        yield
    finally:
        _homeserver.reset(token)


class JsonFormatter(logging.Formatter):
    """One record, one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record as a JSON object."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if key := _homeserver.get():
            line["homeserver"] = {"namespace": key.namespace, "name": key.name}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: int) -> None:
    """Send everything at `level` and above to standard output; kopf and aiohttp warnings only."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))
    # kopf runs in a thread of its own on purpose and must not take our signals; it warns of that.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
