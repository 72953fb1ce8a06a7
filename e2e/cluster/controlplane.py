"""A real API server alone, on free ports of the loopback interface, for tests of what talks to it.

No pods that run: schema, CEL, server-side apply, RBAC and watches are the real ones, and so are
controllers and scheduler on request.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Self

from e2e.cluster import debian, gobuild, kwok
from e2e.cluster.apiserver import READY_SECONDS, ApiServer
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.ports import free_port
from e2e.cluster.processes import Daemons, Process

if TYPE_CHECKING:
    from types import TracebackType

LOOPBACK = "127.0.0.1"
OWNER_RECORD = "owner"
STOP_SECONDS = 5.0


class ControlPlane:
    """Runs etcd and kube-apiserver, and what else is asked for, while it is entered.

    Without the controller manager nothing makes service accounts, collects garbage, starts pods
    or fills the aggregated roles view, edit and admin; the ServiceAccount admission plugin is off
    then, so that pods can be created. With it, `start` also waits for the default namespace's
    service account, which every pod needs. With `kwok`, each Node that a test creates is ready, and
    so is each pod that the `scheduler` gives to one; containers there are none. Nobody forwards
    what is sent to a Service; with a `service_network` of the loopback interface, a test can listen
    at the Service's own address.
    """

    def __init__(
        self,
        controller_manager: bool = False,
        service_network: str = "198.19.0.0/20",
        *,
        scheduler: bool = False,
        kwok: bool = False,
    ) -> None:
        self._controller_manager = controller_manager
        self._scheduler = scheduler
        self._kwok = kwok
        self._service_network = ip_network(service_network)
        self._server: ApiServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of an administrator."""
        return self._running().admin_kubeconfig

    @property
    def audit_log(self) -> Path:
        """The audit log, for `e2e.cluster.audit`; an entry is written before the response."""
        return self._running().audit_log

    @property
    def url(self) -> str:
        return self._running().url

    @property
    def logs(self) -> Path:
        """The directory of the servers' logs."""
        return self._running().daemons.logs

    @property
    def kubectl(self) -> Path:
        return self._running().programs / "kubectl"

    def kubeconfig_of(self, user: str, *groups: str) -> Path:
        """Return a kubeconfig of another user, who may do what RBAC grants to them."""
        server = self._running()
        return server.authority.kubeconfig(server.url, user, groups)

    def start(self) -> None:
        """Start the servers and wait until they are ready (about 5 s).

        Installs and builds what is missing first. Raises RigError, with the end of a server's log,
        if one does not come up.
        """
        debian.install_missing(debian.CONTROL_PLANE)
        programs = gobuild.binaries(gobuild.KUBERNETES)
        _stop_abandoned()
        directory = Path(tempfile.mkdtemp(prefix="", dir=_base()))
        # Tells a later run whether the process that started these servers still lives.
        shutil.copyfile("/proc/self/stat", directory / OWNER_RECORD)
        etcd_port, etcd_peer_port, port = free_port(), free_port(), free_port()
        self._server = server = ApiServer(
            directory=directory,
            programs=programs,
            daemons=_daemons(directory),
            address=LOOPBACK,
            port=port,
            service_network=str(self._service_network),
            service_address=str(self._service_network[1]),
            etcd_port=etcd_port,
            etcd_peer_port=etcd_peer_port,
            service_accounts=self._controller_manager,
        )
        try:
            server.prepare()
            server.daemons.start("etcd", server.etcd())
            server.daemons.start("kube-apiserver", server.api_server())
            server.wait_ready()
            if self._controller_manager:
                server.daemons.start("kube-controller-manager", server.controller_manager())
                kubectl = Kubectl(server.programs / "kubectl", server.admin_kubeconfig)
                kubectl.wait("serviceaccount/default", "create", seconds=READY_SECONDS)
            if self._scheduler:
                server.daemons.start("kube-scheduler", server.scheduler())
            if self._kwok:
                server.daemons.start("kwok", kwok.command(server.admin_kubeconfig))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the servers and remove their directory."""
        if self._server:
            _stop(self._server.directory)
            self._server = None

    def stop_api_server(self) -> None:
        """End the API server alone, as an outage; `start_api_server` brings it back."""
        self._running().daemons.stop("kube-apiserver", seconds=STOP_SECONDS)

    def start_api_server(self) -> None:
        """Start the API server again, with the same address and data, and wait until ready."""
        server = self._running()
        server.daemons.start("kube-apiserver", server.api_server())
        server.wait_ready()

    def _running(self) -> ApiServer:
        if not self._server:
            message = "the control plane is not started; use it as a context manager"
            raise RuntimeError(message)
        return self._server


def _base() -> Path:
    base = Path(tempfile.gettempdir()) / f"homeserver-controlplane-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    return base


def _daemons(directory: Path) -> Daemons:
    return Daemons(records=directory / "processes", logs=directory / "logs")


def _stop(directory: Path) -> None:
    daemons = _daemons(directory)
    for name in daemons.names():
        daemons.stop(name, seconds=STOP_SECONDS)
    shutil.rmtree(directory, ignore_errors=True)


def _stop_abandoned() -> None:
    """End the servers whose starter was killed before it could end them."""
    for directory in _base().iterdir():
        owner = directory / OWNER_RECORD
        if owner.exists() and not Process.recorded(owner):
            _stop(directory)
