"""`check`: asks Synapse's own parser about the configurations of many processes, in one go.

Reads what `run` would read, and needs no database and no Redis. One interpreter imports Synapse
once for all of them.
"""

from __future__ import annotations

import logging.config
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from homeserver_runtime import configuration, failure
from homeserver_runtime.contract import ConfigurationRefusedError, Launch, Paths, read_mapping

if TYPE_CHECKING:
    from collections.abc import Sequence


def check(directories: Sequence[Path], *, pod_name: str | None, termination_log: Path) -> int:
    """Checks the process in each directory; returns 0 if Synapse accepts all, else 78."""
    refusals = []
    for directory in directories:
        try:
            _check_one(directory, pod_name or directory.name)
        except ConfigurationRefusedError as error:
            refusals.append(f"{directory.name}: {error}")
    if refusals:
        failure.report("\n".join(refusals), termination_log)
        return failure.REFUSED
    return 0


def _check_one(directory: Path, pod_name: str) -> None:
    from homeserver_runtime import synapse_start  # noqa: PLC0415 - slow, and not for `version`

    with tempfile.TemporaryDirectory(prefix="check-") as scratch:
        paths = Paths(config=directory, run=Path(scratch))
        launch = Launch.read(paths.launcher_yaml, pod_name=pod_name)
        configuration.write_pgpass(launch, paths)
        finished = configuration.write_finished(configuration.assemble(launch, paths), paths)
        synapse_start.prepare(launch.role, finished)
        _check_logging(paths.log_yaml)


def _check_logging(path: Path) -> None:
    """Tries what Synapse does with log.yaml, without keeping it."""
    content = read_mapping(path)
    if content.get("structured"):
        raise ConfigurationRefusedError(f"{path}: Synapse no longer reads `structured: true`")
    try:
        logging.config.dictConfig(content | {"disable_existing_loggers": False})
    except (ValueError, TypeError, AttributeError, ImportError) as error:
        cause = f": {error.__cause__}" if error.__cause__ else ""
        raise ConfigurationRefusedError(f"{path}: {error}{cause}") from error
