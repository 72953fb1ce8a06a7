"""What listens beside Synapse, for as long as a test asks for it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from aiohttp import web
from tests.services import LOOPBACK

from e2e.cluster.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def served(application: web.Application) -> AsyncIterator[str]:
    """Its URL. Who is being answered in the end is cut off."""
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    port = free_port()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
        yield f"http://{LOOPBACK}:{port}"
    finally:
        await runner.cleanup()
