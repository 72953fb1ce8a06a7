"""The cache of what is slow to make: artefacts in directories keyed by a hash of their inputs.

An artefact appears by one rename, so it is whole or absent; a lock keeps two runs from making the
same one. Must not know what an artefact contains.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

KEPT_PER_NAME = 3
KEY_LENGTH = 16


def root() -> Path:
    """Return the cache's directory; it may be deleted whenever nothing of the rig runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "homeserver-operator"


def input_hash(inputs: Iterable[str | bytes | Path]) -> str:
    """Return the key of these inputs: literal text, or the path, mode and bytes below a path.

    Order counts. A directory stands for all files below it; compiled Python is passed over, since
    running the tests must not change the key of an image.
    """
    digest = hashlib.sha256()

    def feed(part: bytes) -> None:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)

    for item in inputs:
        if isinstance(item, Path):
            for file in _files(item):
                feed(str(file.relative_to(item.parent)).encode())
                feed(str(file.stat().st_mode & 0o111).encode())
                feed(file.read_bytes())
        else:
            feed(item if isinstance(item, bytes) else item.encode())
    return digest.hexdigest()[:KEY_LENGTH]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(
        file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts
    )


def artefact(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return the directory of an artefact, made by `make(directory)` if it is not there yet.

    An exception from `make` leaves nothing behind but its logs, and a later call starts afresh.
    """
    artefacts = root() / "artefacts"
    target = artefacts / f"{name}-{key}"
    if target.is_dir():
        os.utime(target)
        return target
    with locked(name):
        if not target.is_dir():
            unfinished = artefacts / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            try:
                make(unfinished)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            unfinished.rename(target)
            _forget_old(name, key)
    return target


def present(name: str, key: str) -> bool:
    """Tell whether the artefact is in the cache."""
    return (root() / "artefacts" / f"{name}-{key}").is_dir()


def log_file(name: str) -> Path:
    """Return the path of a fresh build log."""
    log = root() / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    return log


def lock_file(name: str) -> Path:
    """The file that runs lock against each other; its directory exists."""
    locks = root() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return locks / f"{name}.lock"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock between processes; the kernel releases it if this process dies."""
    with lock_file(name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  waiting for another run that holds {lock.name}…")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_old(name: str, key: str) -> None:
    """Remove the least recently used artefacts of a name, beyond the few that are kept."""
    length = len(name) + 1 + len(key)
    versions = [
        path
        for path in (root() / "artefacts").glob(f"{name}-*")
        if path.is_dir() and len(path.name) == length
    ]
    versions.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for old in versions[KEPT_PER_NAME:]:
        shutil.rmtree(old, ignore_errors=True)
