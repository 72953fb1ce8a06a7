"""What the agent must know of its place: from the environment, and the same in every pod.

Reads nothing but the environment.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CREDENTIALS: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DIRECTORY: Final = Path("/run/router")
PORT: Final = 8406


class SettingError(Exception):
    """The environment lacks something; the message names it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """One agent's place; `directory` is shared with HAProxy."""

    namespace: str
    homeserver: str
    pod: str
    server: str
    """The API server's URL."""
    credentials: Path = CREDENTIALS
    """Holds `token`, and `ca.crt` if the API server speaks TLS."""
    directory: Path = DIRECTORY
    port: int = PORT
    """Of probes and metrics."""

    @classmethod
    def read(cls, environment: Mapping[str, str], **places: Any) -> Settings:
        """The settings of this pod; `places` are fields that the environment does not set.

        Raises:
            SettingError: if something is not set.

        """

        def value(name: str) -> str:
            found = environment.get(name, "")
            if not found:
                raise SettingError(f"{name} is not set; the operator sets it in the pod's template")
            return found

        host, port = value("KUBERNETES_SERVICE_HOST"), value("KUBERNETES_SERVICE_PORT")
        return cls(
            namespace=value("HOMESERVER_NAMESPACE"),
            homeserver=value("HOMESERVER_NAME"),
            pod=value("POD_NAME"),
            server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
            **places,
        )

    @property
    def service(self) -> str:
        """The Service whose annotation names the configuration."""
        return f"{self.homeserver}-router"

    @property
    def main(self) -> str:
        """The Service of the main process."""
        return f"{self.homeserver}-main"

    @property
    def ledger(self) -> str:
        """The ConfigMap in which the routers agree on slots."""
        return f"{self.homeserver}-router-slots"
