"""An application service that wants everything, and can be slow to answer."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import yaml
from aiohttp import web
from tests.served import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.processes import Site


class Bridge:
    """What it has been sent, by transaction; one that is sent again counts once, as it should."""

    def __init__(self, registration: Path) -> None:
        self.registration = registration
        self.transactions: dict[str, list[str]] = {}
        self.answers = asyncio.Event()
        self.answers.set()

    @property
    def events(self) -> list[str]:
        return [event for events in self.transactions.values() for event in events]

    async def take(self, request: web.Request) -> web.Response:
        events = [event["event_id"] for event in (await request.json())["events"]]
        self.transactions[request.match_info["id"]] = events
        await self.answers.wait()
        return web.json_response({})


@contextlib.asynccontextmanager
async def bridge(site: Site) -> AsyncIterator[Bridge]:
    """One that listens."""
    it = Bridge(site.directory / "bridge.yaml")
    application = web.Application()
    application.router.add_put("/_matrix/app/v1/transactions/{id}", it.take)
    async with served(application) as url:
        everything = [{"exclusive": False, "regex": ".*"}]
        document = {
            "id": "bridge",
            "url": url,
            "as_token": "as-token",
            "hs_token": "hs-token",
            "sender_localpart": "bridge",
            "namespaces": {"users": everything, "rooms": everything, "aliases": []},
        }
        it.registration.write_text(yaml.safe_dump(document))
        yield it
