"""The node: containerd, kubelet and kube-proxy inside the cluster's network namespace.

Writes their configuration and says their command lines; starting them is `up`'s business.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import images
from e2e.cluster.registry import Registry

if TYPE_CHECKING:
    from e2e.cluster.apiserver import ApiServer
    from e2e.cluster.instance import Instance

NODE_NAME = "node"
MAX_PODS = 250
CNI_PLUGINS = Path("/usr/lib/cni")
CGROUPS = Path("/sys/fs/cgroup")
PODS_WEIGH = {"cpu.shares": 4096, "cpu.weight": 400}
"""All pods together, where a thread of any other process weighs 1024, or 100. On a node of its own
the daemons together weigh half of what the pods of two cores do; here they are a control plane, a
load and an ingress controller, too, of which each thread counts."""


@dataclass(frozen=True)
class Node:
    """One node of an instance, whose API server is `server`."""

    instance: Instance
    server: ApiServer

    @property
    def kubelet_root(self) -> Path:
        return self.instance.state / "kubelet"

    @property
    def containerd_root(self) -> Path:
        return self.instance.state / "containerd"

    @property
    def registry(self) -> Registry:
        return Registry(self.instance, self.server.authority)

    @property
    def _configuration(self) -> Path:
        return self.instance.state / "node"

    def prepare(self) -> None:
        """Write the configuration of all three, and make the control group of the pods."""
        self._configuration.mkdir(parents=True, exist_ok=True)
        network = self._configuration / "cni"
        network.mkdir(exist_ok=True)
        for path, content in (
            (self._configuration / "containerd.toml", self._containerd_configuration()),
            (network / "10-pods.conflist", json.dumps(self._pod_network())),
            (self._configuration / "kubelet.json", json.dumps(self._kubelet_configuration())),
            (self._configuration / "kube-proxy.json", json.dumps(self._proxy_configuration())),
        ):
            # kube-proxy ends as soon as its file is written to, even with the same content.
            if not path.exists() or path.read_text() != content:
                path.write_text(content)
        for hierarchy in cgroup_hierarchies():
            group = hierarchy / self.instance.name
            group.mkdir(exist_ok=True)
            if hierarchy.name == "cpuset":
                for name in ("cpuset.cpus", "cpuset.mems"):
                    (group / name).write_text((hierarchy / name).read_text())
            for name, weight in PODS_WEIGH.items():
                if (group / name).exists():
                    (group / name).write_text(str(weight))

    def containerd(self) -> list[str | Path]:
        return ["containerd", "--config", self._configuration / "containerd.toml"]

    def kubelet(self) -> list[str | Path]:
        kubeconfig = self.server.authority.kubeconfig(
            self.server.url, f"system:node:{NODE_NAME}", ["system:nodes"]
        )
        return [
            self.server.programs / "kubelet",
            f"--config={self._configuration / 'kubelet.json'}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={self.kubelet_root}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={self.instance.node_address}",
        ]

    def kube_proxy(self) -> list[str | Path]:
        return [
            self.server.programs / "kube-proxy",
            f"--config={self._configuration / 'kube-proxy.json'}",
            f"--hostname-override={NODE_NAME}",
        ]

    def ctr(self, *arguments: str | Path) -> list[str | Path]:
        """Return the command line of containerd's own client, for the pods' images and tasks."""
        address = f"--address={self.instance.containerd_socket}"
        return self.instance.inside("ctr", address, "--namespace=k8s.io", *arguments)

    def containerd_answers(self) -> bool:
        version = subprocess.run(self.ctr("version"), capture_output=True, check=False)
        return version.returncode == 0

    def image_references(self) -> set[str]:
        """Return the names of the images that the node holds."""
        result = subprocess.run(
            self.ctr("images", "ls", "-q"), capture_output=True, text=True, check=True
        )
        return set(result.stdout.split())

    def _containerd_configuration(self) -> str:
        pause = images.reference(images.IMAGES["pause"])
        return f"""\
version = 2
root = "{self.containerd_root}"
state = "{self.instance.run / "containerd"}"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{self.instance.containerd_socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "{self.instance.node_address}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{self.registry.hosts}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{self._configuration / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{self.instance.run / "runc"}"
"""

    def _pod_network(self) -> dict[str, object]:
        return {
            "cniVersion": "0.4.0",
            "name": self.instance.name,
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "pods0",
                    "isGateway": True,
                    "ipMasq": True,
                    "hairpinMode": True,
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{"subnet": self.instance.pod_network}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                        "dataDir": str(self.instance.run / "addresses"),
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }

    def _kubelet_configuration(self) -> dict[str, object]:
        pki = self.server.authority
        certificate, key = pki.server(
            "kubelet", [f"IP:{self.instance.node_address}", f"DNS:{NODE_NAME}"]
        )
        resolver = self._configuration / "resolv.conf"
        resolver.write_text("")
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.instance.node_address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.instance.name}",
            "clusterDNS": [self.instance.dns_address],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": f"unix://{self.instance.containerd_socket}",
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "healthzPort": 0,
            # Images are imported once; nothing could pull them again.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "maxPods": MAX_PODS,
            "podLogsDir": str(self.instance.logs / "pods"),
            "resolvConf": str(resolver),
            "staticPodPath": "",
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
        }

    def _proxy_configuration(self) -> dict[str, object]:
        kubeconfig = self.server.authority.kubeconfig(self.server.url, "system:kube-proxy")
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "clusterCIDR": self.instance.pod_network,
            "conntrack": {"maxPerCore": 0},
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "mode": "iptables",
            "nodePortAddresses": ["primary"],
        }


def cgroup_hierarchies() -> list[Path]:
    """Return the roots of the machine's control group hierarchies: one, or one per controller."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    # The links, such as cpu -> cpu,cpuacct, name hierarchies that are listed anyway.
    return [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]
