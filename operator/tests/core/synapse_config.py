"""Synapse's own reading of its configuration files."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any


def load(file: Path, *, secrets: bool) -> Any:
    """Parse as Synapse does at start; `secrets` False refuses secrets that stand in the file."""
    options = [] if secrets else ["--no-secrets-in-config"]
    return _parser().load_config("Synapse", ["-c", str(file), *options])


def appservices(server_name: str, files: list[str]) -> list[Any]:
    """The application services of these registrations, as Synapse loads them."""
    _parser()
    from synapse.config.appservice import load_appservices  # noqa: PLC0415

    loaded: list[Any] = load_appservices(server_name, files)
    return loaded


@cache
def _parser() -> Any:
    # Takes seconds, so only once and only for who needs it; and the libraries below Synapse warn
    # of each other when they are imported.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import synapse.app.generic_worker  # noqa: PLC0415
        import synapse.app.homeserver  # noqa: F401, PLC0415
        from synapse.config.homeserver import HomeServerConfig  # noqa: PLC0415
    return HomeServerConfig
