"""Synapse's own parser, asked by tests that need no more of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synapse.config.homeserver import HomeServerConfig


def parsed(name: str | None = None, **settings: Any) -> HomeServerConfig:
    """What it makes of a process's settings; without a name it is main."""
    # Takes seconds, so only who asks pays, and not whoever collects these tests.
    from synapse.config.homeserver import HomeServerConfig  # noqa: PLC0415

    content: dict[str, Any] = {
        "server_name": "test.example",
        "report_stats": False,
        "suppress_key_server_warning": True,
        "enable_media_repo": False,
        "signing_key": "ed25519 a_0000 " + "A" * 43,
    }
    # Synapse's parser changes what it reads.
    content |= {key: type(value)(value) for key, value in settings.items()}
    if name is not None:
        content |= {"worker_app": "synapse.app.generic_worker", "worker_name": name}
    config = HomeServerConfig()
    config.parse_config_dict(content, "", "")
    return config
