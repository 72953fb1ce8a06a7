"""The command line: `run` (in a pod), `check` (in a Job), `version`."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from homeserver_runtime import signals
from homeserver_runtime.contract import Paths

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns the exit code."""
    options = _parser().parse_args(arguments)
    pod_name = os.environ.get("POD_NAME")
    if options.command == "run":
        signals.block()
        from homeserver_runtime import launcher  # noqa: PLC0415

        paths = Paths(
            config=options.config, run=options.run_dir, termination_log=options.termination_log
        )
        revision = os.environ.get("HOMESERVER_REVISION")
        return launcher.run(
            paths, pod_name=pod_name, pod_address=os.environ.get("POD_IP"), revision=revision
        )
    if options.command == "check":
        from homeserver_runtime.check import check  # noqa: PLC0415

        return check(
            options.directories, pod_name=pod_name, termination_log=options.termination_log
        )
    sys.stdout.write(f"{importlib.metadata.version('matrix-synapse')}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    default = Paths()
    parser = argparse.ArgumentParser(
        prog="homeserver_runtime", description="Runs Synapse in a pod of a HomeServer."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="run the process that the mounted files describe")
    run.add_argument("--config", type=Path, default=default.config, metavar="DIR")
    run.add_argument("--run-dir", type=Path, default=default.run, metavar="DIR")

    check = commands.add_parser(
        "check", help="ask Synapse whether it accepts the configurations of processes"
    )
    check.add_argument("directories", type=Path, nargs="+", metavar="DIR")

    for command in (run, check):
        command.add_argument(
            "--termination-log", type=Path, default=default.termination_log, metavar="FILE"
        )
    commands.add_parser("version", help="print the version of Synapse")
    return parser


if __name__ == "__main__":
    sys.exit(main())
