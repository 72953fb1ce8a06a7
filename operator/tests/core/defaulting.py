"""What the API server fills in and rewrites when an object is stored."""

import json
from typing import Any

from homeserver_operator.api.world import Object

_FACTORS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def with_defaults(manifest: Object) -> dict[str, Any]:
    """The object as it comes back from the API server."""
    stored: dict[str, Any] = json.loads(json.dumps(manifest))
    stored["metadata"].setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
    spec = stored.get("spec", {})
    match stored["kind"]:
        case "Deployment":
            spec.setdefault("replicas", 1)
            spec["template"]["metadata"].setdefault("creationTimestamp", None)
            _pod_spec(spec["template"]["spec"])
        case "Pod":
            _pod_spec(spec)
            _admit(spec)
        case "Service":
            _fill(spec, sessionAffinity="None", clusterIP="10.7.0.1", clusterIPs=["10.7.0.1"],
                  ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack",
                  internalTrafficPolicy="Cluster")  # fmt: skip
        case "PersistentVolumeClaim":
            _fill(spec, volumeMode="Filesystem", storageClassName="standard", volumeName="pv-1")
        case "HorizontalPodAutoscaler":
            stored["status"] = {"currentMetrics": None, "desiredReplicas": 0}
        case "PodDisruptionBudget":
            stored["status"] = {"currentHealthy": 0, "disruptionsAllowed": 0}
        case "Ingress":
            stored.setdefault("status", {"loadBalancer": {}})
    return stored


def _pod_spec(spec: dict[str, Any]) -> None:
    _fill(spec, dnsPolicy="ClusterFirst", restartPolicy="Always", schedulerName="default-scheduler",
          serviceAccount=spec["serviceAccountName"])  # fmt: skip
    for container in spec["containers"]:
        _fill(container, terminationMessagePath="/dev/termination-log", resources={})
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe := container.get(name):
                _fill(probe, successThreshold=1, timeoutSeconds=1, periodSeconds=10)
                if "httpGet" in probe:
                    _fill(probe["httpGet"], scheme="HTTP")
        for variable in container.get("env", ()):
            if field := variable["valueFrom"].get("fieldRef"):
                _fill(field, apiVersion="v1")
    for volume in spec["volumes"]:
        if "configMap" in volume:
            _fill(volume["configMap"], defaultMode=0o644)
        if "secret" in volume:
            _fill(volume["secret"], defaultMode=0o644)


def _admit(spec: dict[str, Any]) -> None:
    """What admission plugins and the scheduler add to a pod, but not to a pod template."""
    spec.setdefault("nodeName", "node-1")
    added = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute",
         "tolerationSeconds": 300}
        for key in ("not-ready", "unreachable")
    ]  # fmt: skip
    there = spec.get("tolerations", [])
    spec["tolerations"] = there + [item for item in added if item not in there]


def _fill(target: dict[str, Any], **values: Any) -> None:
    for name, value in values.items():
        target.setdefault(name, value)


def canonical_quantities(node: Any, *, inside: bool = False) -> Any:
    """Quantities as the API server writes them back: 1024Mi as 1Gi, 0.5 as 500m."""
    if isinstance(node, dict):
        return {
            name: canonical_quantities(value, inside=inside or name in {"requests", "limits"})
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [canonical_quantities(item) for item in node]
    return _canonical(str(node)) if inside else node


def _canonical(text: str) -> str:
    digits, suffix = text.rstrip("KMGi"), text[len(text.rstrip("KMGi")) :]
    if suffix in _FACTORS and digits.isdigit():
        size = int(digits) * _FACTORS[suffix]
        for unit, factor in reversed(_FACTORS.items()):
            if size % factor == 0:
                return f"{size // factor}{unit}"
    if not suffix and "." in digits:
        return f"{int(float(digits) * 1000)}m"
    return text
