"""A certificate authority of the rig's own and the kubeconfigs of its users, made with openssl."""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2e.cluster.progress import RigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DAYS_VALID = "3650"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
ADMINISTRATORS = "system:masters"


def _openssl(*arguments: str | Path) -> None:
    command = ["openssl", *map(str, arguments)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        message = "openssl is not installed (Debian package openssl)"
        raise RigError(message) from error
    except subprocess.CalledProcessError as error:
        message = f"openssl {arguments[0]} failed: {error.stderr.strip()}"
        raise RigError(message) from error


@dataclass(frozen=True)
class Authority:
    """The files of one certificate authority, which signs servers' and users' certificates."""

    directory: Path

    @property
    def certificate(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def service_account_key(self) -> Path:
        return self.directory / "service-accounts.key"

    def create(self) -> None:
        """Make the authority and the key that signs service accounts' tokens; replaces none."""
        if self.certificate.exists():
            return
        self.directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        _openssl("genrsa", "-out", self.service_account_key, "2048")
        new = self.directory / "ca.crt.new"
        _openssl(
            *("req", "-x509", *NEW_KEY, "-subj", "/CN=homeserver-e2e", "-days", DAYS_VALID),
            *("-keyout", self._key("ca"), "-out", new),
        )
        new.rename(self.certificate)

    def server(self, name: str, alternatives: Sequence[str]) -> tuple[Path, Path]:
        """Return (certificate, key) of a server; `alternatives` as in ``IP:127.0.0.1``."""
        names = f"subjectAltName={','.join(alternatives)}"
        return self._sign(name, f"/CN={name}", "extendedKeyUsage=serverAuth", names)

    def client(self, user: str, groups: Sequence[str] = ()) -> tuple[Path, Path]:
        """Return (certificate, key) of a Kubernetes user."""
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        return self._sign(_file_name(user), subject, "extendedKeyUsage=clientAuth")

    def kubeconfig(
        self, server: str, user: str, groups: Sequence[str] = (), path: Path | None = None
    ) -> Path:
        """Write a kubeconfig, readable by its owner alone, of a user with these groups."""
        certificate, key = self.client(user, groups)
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "e2e",
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": _base64(self.certificate),
                    },
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": _base64(certificate),
                        "client-key-data": _base64(key),
                    },
                }
            ],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": user}}],
            "current-context": "e2e",
        }
        target = path or self.directory / f"{_file_name(user)}.kubeconfig"
        target.touch(mode=0o600)
        target.write_text(json.dumps(content, indent=1))
        return target

    def _key(self, name: str) -> Path:
        return self.directory / f"{name}.key"

    def _sign(self, name: str, subject: str, *extensions: str) -> tuple[Path, Path]:
        certificate, key = self.directory / f"{name}.crt", self._key(name)
        if certificate.exists():
            return certificate, key
        new = self.directory / f"{name}.crt.new"
        additions = [part for extension in extensions for part in ("-addext", extension)]
        _openssl(
            *("req", "-x509", *NEW_KEY, "-subj", subject, "-days", DAYS_VALID),
            *("-CA", self.certificate, "-CAkey", self._key("ca")),
            *("-addext", "basicConstraints=critical,CA:false", *additions),
            *("-keyout", key, "-out", new),
        )
        new.rename(certificate)
        return certificate, key


def _file_name(user: str) -> str:
    return user.replace("/", "_").replace(":", "-")


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
