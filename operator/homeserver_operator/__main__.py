"""The process: settings, logs, signals, exit code. Everything else is in `operate`.

Exit code 0 after SIGTERM or SIGINT, 1 when a part failed or leadership was lost, 2 when a setting
is unusable.
"""

import asyncio
import logging
import os
import signal
import sys

from kubernetes.aio.config import ConfigException

from homeserver_operator import logs
from homeserver_operator.cluster import ApiError, LeadershipLostError
from homeserver_operator.config import ConfigError, Settings, parse
from homeserver_operator.crd import CrdError
from homeserver_operator.operate import operate

log = logging.getLogger("homeserver_operator")


def main() -> int:
    """Run the operator; returns the exit code."""
    logs.configure(logging.INFO)
    try:
        settings = parse(os.environ)
    except ConfigError as error:
        log.error("%s", error)  # noqa: TRY400 - the message says it all
        return 2
    logs.configure(settings.log_level)
    try:
        asyncio.run(_until_signalled(settings))
    except (ApiError, ConfigException, CrdError, LeadershipLostError) as error:
        log.error("%s", error)  # noqa: TRY400 - what the cluster said needs no traceback
        return 1
    except Exception:
        log.exception("the operator ends because of a mistake of its own")
        return 1
    return 0


async def _until_signalled(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await operate(settings, stop)


if __name__ == "__main__":
    sys.exit(main())
