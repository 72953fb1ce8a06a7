"""The files on the volume that the agent shares with HAProxy: one folder for each configuration.

`current` leads to the one in use, so that a container that starts again needs no API server.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING, Final

from homeserver_router.configuration import Configuration, ConfigurationRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CURRENT: Final = "current"
RENDERED: Final = "rendered"
"""Below a configuration's folder: its files as the operator rendered them."""
CHECK_SECONDS: Final = 60.0


class Files:
    """The volume."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def current(self) -> Path:
        """What HAProxy reads."""
        return self._directory / CURRENT

    def current_name(self) -> str | None:
        """The name of the configuration in use."""
        try:
            return self.current.readlink().name
        except OSError:
            return None

    def read(self, name: str) -> Configuration:
        """A configuration that was written before.

        Raises:
            ConfigurationRefusedError: if it is not whole.

        """
        folder = self._directory / name / RENDERED
        try:
            files = {each.name: each.read_text(encoding="utf-8") for each in folder.iterdir()}
        except OSError as error:
            raise ConfigurationRefusedError(f"cannot read {name}: {error.strerror}") from error
        return Configuration.parse(name, files)

    def text(self, name: str, file: str) -> str:
        """One file of a configuration, as HAProxy reads it; empty if it is not there."""
        try:
            return (self._directory / name / file).read_text(encoding="utf-8")
        except OSError:
            return ""

    def write(self, configuration: Configuration, finished: Mapping[str, str]) -> None:
        """Write a configuration whole: as it was rendered, and `finished` for HAProxy."""
        folder = self._directory / configuration.name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / RENDERED).mkdir(parents=True)
        for name, text in configuration.files.items():
            (folder / RENDERED / name).write_text(text, encoding="utf-8")
        for name, text in {**configuration.files, **finished}.items():
            (folder / name).write_text(text, encoding="utf-8")

    def update(self, name: str, file: str, text: str) -> None:
        """Replace one file of a configuration, if it differs."""
        path = self._directory / name / file
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return
        fresh = path.with_name(f".{file}")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)

    def use(self, name: str) -> None:
        """From now on HAProxy reads this configuration."""
        fresh = self._directory / f".{CURRENT}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(name)
        fresh.replace(self.current)

    def prune(self, keep: set[str | None]) -> None:
        """Remove all other configurations."""
        for each in self._directory.iterdir():
            if each.is_dir() and not each.is_symlink() and each.name not in keep:
                shutil.rmtree(each, ignore_errors=True)

    async def check(self, name: str, file: str) -> None:
        """Let HAProxy check a configuration.

        Raises:
            ConfigurationRefusedError: with what it says, if it refuses.

        """
        process = await asyncio.create_subprocess_exec(
            *("haproxy", "-c", "-f", str(self._directory / name / file)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ,
        )
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise ConfigurationRefusedError(f"{name}: the check takes too long") from None
        if process.returncode:
            said = output.decode(errors="replace").strip()[-2000:]
            raise ConfigurationRefusedError(f"HAProxy refuses {name}: {said}")
