"""Brings a cluster up: from nothing, or by starting again what ended of one that was up."""

from __future__ import annotations

import resource
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2e.cluster import addons, cache, debian, gobuild, image_build, mounts, network
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.images import IMAGES, Image, reference
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.node import NODE_NAME, Node
from e2e.cluster.progress import elapsed, run_logged, say, step, wait_until
from e2e.cluster.registry import Registry
from e2e.cluster.teardown import daemons, tear_down

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from e2e.cluster.instance import Instance

# In the order in which they are needed.
NODE_IMAGES = tuple(IMAGES[name] for name in ("pause", "coredns", "base"))
NODE_SECONDS = 120.0
API_PORT = 6443
APPLY = ("apply", "--server-side", "--force-conflicts", "--filename=-")


@dataclass(frozen=True)
class Cluster:
    """A cluster of this machine and the steps that bring it up."""

    instance: Instance
    server: ApiServer

    @classmethod
    def of(cls, instance: Instance) -> Cluster:
        server = ApiServer(
            directory=instance.state / "control-plane",
            programs=gobuild.binaries(gobuild.KUBERNETES),
            daemons=daemons(instance),
            address=instance.node_address,
            port=API_PORT,
            service_network=instance.service_network,
            service_address=instance.service_address,
            etcd_port=2379,
            etcd_peer_port=2380,
            service_accounts=True,
        )
        return cls(instance, server)

    @property
    def node(self) -> Node:
        return Node(self.instance, self.server)

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.server.programs / "kubectl", self.server.admin_kubeconfig)

    def start(self) -> None:
        """Start what does not run, and wait until pods can run."""
        self.server.prepare()
        self.node.prepare()
        self._start("etcd", self.server.etcd())
        self._start("containerd", self.node.containerd())
        self._start("kube-apiserver", self.server.api_server())
        with ThreadPoolExecutor(1) as importer:
            imports = [importer.submit(self.import_images, [image]) for image in NODE_IMAGES]
            self.server.wait_ready()
            self.kubectl(*APPLY, stdin=addons.manifests(self.instance))
            self._start("kube-controller-manager", self.server.controller_manager())
            self._start("kube-scheduler", self.server.scheduler())
            self._start_addons()
            # Without its pause image the kubelet's first pods would fail and wait to be retried.
            imports[0].result()
            self._start("kubelet", self.node.kubelet())
            # kube-proxy asks for its node's addresses when it starts.
            self.kubectl.wait(f"node/{NODE_NAME}", "create", seconds=NODE_SECONDS)
            self._start("kube-proxy", self.node.kube_proxy())
            self._wait_for_node()
            for image in imports:
                image.result()

    def start_registry(self) -> None:
        """Start the registry that stands for a user's own, and wait until it answers."""
        wanted, running = self.node.registry, self.server.daemons
        wanted.prepare()
        self._start("registry", wanted.command())
        wait_until(
            wanted.answers,
            what="readiness of the registry",
            seconds=30,
            log=running.log("registry"),
            alive=lambda: running.alive("registry"),
        )

    def import_images(self, wanted: Iterable[Image]) -> None:
        """Import these images' archives into containerd, those that it does not hold yet."""
        wait_until(
            self.node.containerd_answers,
            what="readiness of containerd",
            seconds=30,
            log=self.server.daemons.log("containerd"),
            alive=lambda: self.server.daemons.alive("containerd"),
        )
        held = self.node.image_references()
        for image in wanted:
            if reference(image) not in held:
                title = f"importing image {image.name}"
                with step(title):
                    command = self.node.ctr("images", "import", image_build.build(image))
                    run_logged(command, title=title, log=cache.log_file(f"import-{image.name}"))

    def name_again(self, image: Image, tag: str) -> str:
        """Give an image that containerd holds another tag as well; return its other name."""
        other = f"{reference(image).rpartition(':')[0]}:{tag}"
        title = f"naming image {image.name} again"
        command = self.node.ctr("images", "tag", "--force", reference(image), other)
        run_logged(command, title=title, log=cache.log_file(f"tag-{image.name}"))
        return other

    def kill(self, container: str) -> None:
        """Send SIGKILL to all processes of a container; raises RigError if it does not run."""
        command = self.node.ctr("tasks", "kill", "--all", "--signal=SIGKILL", container)
        run_logged(command, title=f"killing {container}", log=cache.log_file("kill"))

    def _start(self, name: str, command: list[str | Path], kubeconfig: Path | None = None) -> None:
        environment = {"PATH": debian.PATH, "HOME": str(self.instance.state)}
        if kubeconfig:
            environment["KUBECONFIG"] = str(kubeconfig)
        self.server.daemons.start(name, self.instance.inside(*command), environment)

    def _start_addons(self) -> None:
        pki, url = self.server.authority, self.server.url
        program = gobuild.binaries(gobuild.PROVISIONER) / "local-path-provisioner"
        config = pki.kubeconfig(url, "local-path-provisioner")
        self._start("local-path-provisioner", addons.provisioner_command(program, config))
        controller = pki.kubeconfig(url, "ingress-controller")
        self._start("traefik", addons.traefik_command(self.instance), controller)

    def _wait_for_node(self) -> None:
        self.kubectl.wait(f"node/{NODE_NAME}", "condition=Ready", seconds=NODE_SECONDS)
        self.kubectl.wait("serviceaccount/default", "create", seconds=NODE_SECONDS)
        self.kubectl.wait(
            *("deployment/coredns", "condition=Available"),
            *("--namespace=kube-system",),
            seconds=NODE_SECONDS,
        )


def up(instance: Instance) -> None:
    """Bring the instance up; quick and harmless if it is up already."""
    debian.require_root()
    started = time.monotonic()
    debian.install_missing(debian.NODE)
    gobuild.all_binaries(gobuild.KUBERNETES, gobuild.TOOLS, gobuild.PROVISIONER)
    addons.traefik()
    image_build.build_all(NODE_IMAGES)
    with cache.locked(instance.lock):
        if not (instance.ready_marker.exists() and network.exists(instance)):
            # A cluster that never got ready is worth nothing; beginning anew takes seconds.
            tear_down(instance)
            for directory in (instance.run, instance.state, instance.logs, instance.volumes):
                directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            network.create(instance)
            mounts.create(instance)
        _raise_file_limit()
        Cluster.of(instance).start()
        instance.ready_marker.touch()
    say(f"cluster {instance.name} is up after {elapsed(time.monotonic() - started)}")


def registry(instance: Instance) -> Registry:
    """Start the registry of an instance that is up, and wait until it answers."""
    gobuild.binaries(gobuild.REGISTRY)
    with cache.locked(instance.lock):
        cluster = Cluster.of(instance)
        cluster.start_registry()
    return cluster.node.registry


def images(instance: Instance, names: Iterable[str]) -> dict[str, str]:
    """Build the named images and import them if the instance is up; return their references."""
    wanted = [IMAGES[name] for name in names]
    if not instance.ready_marker.exists():
        built = image_build.build_all(wanted)
    else:
        cluster = Cluster.of(instance)
        with cache.locked(instance.lock):
            built = image_build.build_all(wanted, lambda image: cluster.import_images([image]))
    return {image.name: reference(image) for image in built}


def down(instance: Instance) -> None:
    """Take the instance away; harmless if it is not there."""
    debian.require_root()
    with cache.locked(instance.lock):
        tear_down(instance)


def _raise_file_limit() -> None:
    """Let the daemons, and the pods that inherit it, open as many files as the machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
