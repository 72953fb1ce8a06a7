"""A container registry in the rig, which stands for a user's own: `up --registry`.

It speaks TLS by the rig's authority. The node trusts it; whoever pushes says so by SSL_CERT_FILE.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2e.cluster import gobuild

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.cluster.instance import Instance
    from e2e.cluster.pki import Authority

PORT = 5000


@dataclass(frozen=True)
class Registry:
    """The registry of an instance, on its node's address; `hosts` is what containerd reads."""

    instance: Instance
    authority: Authority

    @property
    def host(self) -> str:
        """Where it listens, which is how the names of its images begin."""
        return f"{self.instance.node_address}:{PORT}"

    @property
    def hosts(self) -> Path:
        """The folder that tells containerd which registries to trust, and how."""
        return self.instance.state / "registries"

    def prepare(self) -> None:
        """Write its configuration and containerd's trust in it."""
        certificate, key = self.authority.server("registry", [f"IP:{self.instance.node_address}"])
        self._directory.mkdir(parents=True, exist_ok=True)
        # JSON is YAML, too.
        configuration = {
            "version": 0.1,
            "log": {"accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self._directory / "blobs")}},
            "http": {
                "addr": self.host,
                "tls": {"certificate": str(certificate), "key": str(key)},
            },
        }
        self._configuration.write_text(json.dumps(configuration))
        trust = self.hosts / self.host
        trust.mkdir(parents=True, exist_ok=True)
        (trust / "hosts.toml").write_text(
            f'[host."https://{self.host}"]\n  ca = "{self.authority.certificate}"\n'
        )

    def command(self) -> list[str | Path]:
        program = gobuild.binaries(gobuild.REGISTRY) / "registry"
        return [program, "serve", self._configuration]

    def answers(self) -> bool:
        """Tell whether it takes requests."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        try:
            with urllib.request.urlopen(f"https://{self.host}/v2/", context=context, timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False

    @property
    def _directory(self) -> Path:
        return self.instance.state / "registry"

    @property
    def _configuration(self) -> Path:
        return self._directory / "configuration.yaml"
