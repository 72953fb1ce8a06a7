"""Hands the machine's pip settings to image builds, as mounts that no image comes to contain."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where packages come from and how they are fetched; nothing that changes what is installed.
FORWARDED = frozenset(
    {
        *("cert", "client-cert", "default-timeout", "extra-index-url", "find-links", "index-url"),
        *("no-index", "proxy", "retries", "timeout", "trusted-host"),
    }
)
CERTIFICATES = Path("/etc/ssl/certs")


def settings() -> dict[str, str]:
    """Return pip's effective settings of FORWARDED, from its files and its environment."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {}
    for line in result.stdout.splitlines():
        match = re.fullmatch(r"[^.]*\.([a-z-]+)=(.*)", line)
        if match and match.group(1) in FORWARDED:
            found[match.group(1)] = str(ast.literal_eval(match.group(2)))
    for name in sorted(FORWARDED):
        value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
        if value:
            found[name] = value
    return found


@contextmanager
def mounts() -> Iterator[list[str]]:
    """Yield buildah's arguments that mount a pip.conf, certificates and local package folders."""
    current = settings()
    with TemporaryDirectory() as directory:
        config = Path(directory) / "pip.conf"
        config.touch(mode=0o600)
        lines = [f"{name} = {_indented(value)}\n" for name, value in current.items()]
        config.write_text("[global]\n" + "".join(lines))
        mounted = {Path("/etc/pip.conf"): config}
        paths = [CERTIFICATES, *map(Path, _local_paths(current))]
        mounted.update({path: path for path in paths if path.exists()})
        yield [f"--volume={source}:{target}:ro" for target, source in mounted.items()]


def _indented(value: str) -> str:
    return "\n    ".join(value.split())


def _local_paths(current: dict[str, str]) -> list[str]:
    words = [
        word
        for name in ("cert", "client-cert", "find-links")
        for word in current.get(name, "").split()
    ]
    return [
        word
        for word in words
        if word.startswith("/") and not Path(word).is_relative_to(CERTIFICATES)
    ]
