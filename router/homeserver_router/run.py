"""Puts the agent together and runs it until it is told to leave."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from homeserver_router.agent import Agent
from homeserver_router.api import Api
from homeserver_router.metrics import Metrics
from homeserver_router.probes import Probes

if TYPE_CHECKING:
    from homeserver_router.settings import Settings

STOP: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class JsonFormatter(logging.Formatter):
    """One line of JSON for each record, beside HAProxy's."""

    def format(self, record: logging.LogRecord) -> str:
        """Say when, how bad, and what."""
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def run(settings: Settings) -> int:
    """Run the agent; return the exit code."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    asyncio.run(_run(settings))
    return 0


async def _run(settings: Settings) -> None:
    metrics = Metrics()
    async with Api(settings, metrics) as api:
        agent = Agent(settings, api, metrics)
        for each in STOP:
            asyncio.get_running_loop().add_signal_handler(each, agent.leave)
        server = await Probes(agent, metrics).serve(settings.port)
        async with server:
            await agent.run()
