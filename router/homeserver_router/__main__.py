"""The command line: `haproxy` and `agent`, the two containers of a router's pod."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from homeserver_router.settings import CREDENTIALS, DIRECTORY, PORT, SettingError, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK_SECONDS: Final = 0.1
STOP: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""SIGUSR1 is what the image asks for: HAProxy takes it for a soft stop, SIGTERM for a hard one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit code."""
    parser = argparse.ArgumentParser(prog="homeserver_router", description=__doc__)
    parser.add_argument("command", choices=["haproxy", "agent"])
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="what both share")
    parser.add_argument("--credentials", type=Path, default=CREDENTIALS, help="token and ca.crt")
    parser.add_argument("--port", type=int, default=PORT, help="of the agent's probes and metrics")
    options = parser.parse_args(arguments)
    if options.command == "haproxy":
        become_haproxy(options.directory)
    try:
        settings = Settings.read(
            os.environ,
            directory=options.directory,
            credentials=options.credentials,
            port=options.port,
        )
    except SettingError as error:
        print(f"homeserver_router: {error}", file=sys.stderr)  # noqa: T201 - the command line
        return 2
    from homeserver_router import run  # noqa: PLC0415 - HAProxy's container needs none of it

    return run.run(settings)


def become_haproxy(directory: Path) -> NoReturn:
    """Wait for the agent's files, then let HAProxy take this process's place."""
    # As process 1 it would otherwise not hear them at all.
    for each in STOP:
        signal.signal(each, lambda *_: sys.exit(0))
    config = directory / "current" / "haproxy.cfg"
    while not config.is_file():
        time.sleep(LOOK_SECONDS)
    # A socket that another HAProxy left behind here answers nobody.
    master = directory / "master.sock"
    master.unlink(missing_ok=True)
    program = "haproxy"
    flags = ["-W", "-db", "-S", f"{master},mode,600", "-f", str(config)]
    os.execvp(program, [program, *flags])  # noqa: S606 - that is the point


if __name__ == "__main__":
    sys.exit(main())
