"""The API server's audit log, read while the server writes it.

One JSON object a line, level Metadata. What an entry means is for who asks: nothing here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def entries(log: Path, start: int = 0) -> Iterator[dict[str, Any]]:
    """The entries from a byte offset on, but for a last one that is still being written."""
    with log.open("rb") as lines:
        lines.seek(start)
        for line in lines:
            if line.endswith(b"\n"):
                yield json.loads(line)
