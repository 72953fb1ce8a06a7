"""A process's way to the database, which can be closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml
from tests.held import terminate

from e2e.cluster.ports import free_port

if TYPE_CHECKING:
    from tests.processes import RuntimeProcess, Site


class Way:
    """Who is to go it has a role of his own there."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.role = f"main_{free_port()}"
        site.postgres.execute(
            f"CREATE ROLE {self.role} LOGIN SUPERUSER PASSWORD '{_quoted(site.postgres.password)}'"
        )

    def close(self) -> None:
        self._site.postgres.execute(f"ALTER ROLE {self.role} NOLOGIN")
        terminate(self._site.postgres, self._site.database, f"usename = '{self.role}'")

    def open(self) -> None:
        self._site.postgres.execute(f"ALTER ROLE {self.role} LOGIN")

    def lead(self, process: RuntimeProcess) -> None:
        """Has a process that has not been started go this way."""
        username = process.directory / "username"
        username.write_text(f"{self.role}\n")
        launcher = yaml.safe_load((process.directory / "launcher.yaml").read_text())
        launcher["database"]["username_file"] = str(username)
        (process.directory / "launcher.yaml").write_text(yaml.safe_dump(launcher))


def _quoted(text: str) -> str:
    return text.replace("'", "''")
