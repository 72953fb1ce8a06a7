"""Who answers which request, as measured on real Synapse (data/route_ownership.json)."""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from homeserver_operator.api.roles import STREAMS

_FILE = Path(__file__).parent / "data" / "route_ownership.json"


@dataclass(frozen=True)
class Servlet:
    """One servlet of Synapse. `stream` (the resource's word) only where its writer must answer."""

    methods: tuple[str, ...]
    regex: str
    worker: bool
    media: bool
    stream: str | None
    samples: tuple[str, ...]


@cache
def servlets() -> tuple[Servlet, ...]:
    words = {key: stream for stream, key in STREAMS.items()}
    return tuple(
        Servlet(
            methods=tuple(row["methods"]),
            regex=row["regex"],
            worker=row["worker"],
            media=row.get("media", False),
            stream=words.get(row["stream"]) if row.get("must") else None,
            samples=tuple(row["samples"]),
        )
        for row in json.loads(_FILE.read_text())["routes"]
    )


def answering(path: str) -> list[Servlet]:
    """All servlets that a path reaches, whatever the method."""
    return [servlet for servlet in servlets() if re.match(servlet.regex, path)]


def samples() -> list[str]:
    """Every sample path, once."""
    return sorted({path for servlet in servlets() for path in servlet.samples})
