"""The command lines of etcd, the API server, the controllers and the scheduler, and readiness.

Shared by the whole cluster and by the control plane alone; must not know which of the two it is.
"""

from __future__ import annotations

import ssl
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.error import URLError

from e2e.cluster.pki import ADMINISTRATORS, Authority
from e2e.cluster.progress import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.cluster.processes import Daemons

READY_SECONDS = 60.0
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
"""


@dataclass(frozen=True, kw_only=True)
class ApiServer:
    """One etcd and one API server; addresses are IPv4, ports are TCP."""

    directory: Path
    programs: Path
    daemons: Daemons
    address: str
    port: int
    service_network: str
    service_address: str
    etcd_port: int
    etcd_peer_port: int
    service_accounts: bool

    @property
    def authority(self) -> Authority:
        return Authority(self.directory / "pki")

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def audit_log(self) -> Path:
        return self.directory / "audit.log"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.directory / "admin.kubeconfig"

    def prepare(self) -> None:
        """Write certificates, policy and the administrator's kubeconfig."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.authority.create()
        (self.directory / "audit-policy.yaml").write_text(AUDIT_POLICY)
        self.authority.kubeconfig(self.url, "admin", [ADMINISTRATORS], self.admin_kubeconfig)

    def etcd(self) -> list[str | Path]:
        client = f"http://127.0.0.1:{self.etcd_port}"
        peer = f"http://127.0.0.1:{self.etcd_peer_port}"
        return [
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            # Nothing here outlives a crash of the machine, so nothing waits for the disk.
            "--unsafe-no-fsync",
            "--quota-backend-bytes=8589934592",
            "--auto-compaction-retention=5m",
        ]

    def api_server(self) -> list[str | Path]:
        pki = self.authority
        certificate, key = pki.server(
            "kube-apiserver",
            [
                f"IP:{self.address}",
                f"IP:{self.service_address}",
                *("IP:127.0.0.1", "DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default"),
                *("DNS:kubernetes.default.svc", "DNS:kubernetes.default.svc.cluster.local"),
            ],
        )
        kubelet_certificate, kubelet_key = pki.client("kube-apiserver-kubelet", [ADMINISTRATORS])
        switched_off = [] if self.service_accounts else ["ServiceAccount"]
        return [
            self.programs / "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            f"--cert-dir={self.directory / 'apiserver'}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={pki.certificate}",
            f"--kubelet-certificate-authority={pki.certificate}",
            f"--kubelet-client-certificate={kubelet_certificate}",
            f"--kubelet-client-key={kubelet_key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-cluster-ip-range={self.service_network}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki.service_account_key}",
            f"--service-account-signing-key-file={pki.service_account_key}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--disable-admission-plugins={','.join(switched_off)}",
            "--allow-privileged=true",
            # Debian's etcd cannot do it, and watches from version 0, as KWOK's, would end at once.
            "--feature-gates=WatchList=false",
            f"--audit-policy-file={self.directory / 'audit-policy.yaml'}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=2000",
            "--audit-log-maxbackup=1",
            "--event-ttl=1h",
        ]

    def controller_manager(self) -> list[str | Path]:
        pki = self.authority
        config = pki.kubeconfig(self.url, "system:kube-controller-manager")
        return [
            self.programs / "kube-controller-manager",
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            f"--client-ca-file={pki.certificate}",
            f"--root-ca-file={pki.certificate}",
            f"--cluster-signing-cert-file={pki.certificate}",
            f"--cluster-signing-key-file={pki.directory / 'ca.key'}",
            f"--service-account-private-key-file={pki.service_account_key}",
            "--use-service-account-credentials",
            # The default of 20 requests per second is the pace of all that happens here.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            "--leader-elect=false",
            "--secure-port=0",
        ]

    def scheduler(self) -> list[str | Path]:
        config = self.authority.kubeconfig(self.url, "system:kube-scheduler")
        return [
            self.programs / "kube-scheduler",
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--leader-elect=false",
            "--secure-port=0",
        ]

    def ready(self) -> bool:
        """Tell whether the API server says that it is ready."""
        certificate, key = self.authority.client("admin", [ADMINISTRATORS])
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        context.load_cert_chain(certificate, key)
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", context=context, timeout=2):  # noqa: S310
                return True
        except (URLError, OSError):
            return False

    def wait_ready(self) -> None:
        """Wait until the API server is ready; raises RigError with its log if it does not come."""
        wait_until(
            self.ready,
            what="readiness of kube-apiserver",
            seconds=READY_SECONDS,
            log=self.daemons.log("kube-apiserver"),
            alive=lambda: self.daemons.alive("kube-apiserver") and self.daemons.alive("etcd"),
        )
