"""The pod of the router: HAProxy, and beside it the agent that tells it where the processes are.

The agent is a sidecar in Kubernetes' sense: it is there before HAProxy, which waits for its files,
and ends after it, so that the last requests are still led to pods that live.
"""

from typing import Any, Final

from homeserver_operator.api.groups import Scheduling
from homeserver_operator.api.names import ROUTER_AGENT_PORT, ROUTER_METRICS_PORT, ROUTER_PORT
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.build.pods import container, pod_spec
from homeserver_operator.build.router_access import router_name

ROUTER_USER: Final = 10001
"""The router image's user (router/Containerfile)."""

_RUN: Final = "/run/router"
_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path

_MAY_USE: Final = {"requests": {"cpu": "50m", "memory": "64Mi"}}
_AGENT_MAY_USE: Final = {"requests": {"cpu": "10m", "memory": "48Mi"}}

_ACCEPTS: Final = 10
"""Seconds for which a pod that ends goes on accepting: controllers learn late that it does."""

_FINISHES: Final = 120
"""Seconds for what is in flight then; most long polls take half a minute."""

_LAST_WORDS: Final = f"sleep {_ACCEPTS}; kill -USR1 1; sleep {_FINISHES}"
"""On the first signal of its end HAProxy would drop what is in flight; on this one it drains."""


def router_pod_spec(
    server: HomeServer, scheduling: Scheduling, *, image: str, pull_policy: str
) -> dict[str, Any]:
    """The spec of the pod."""
    run = {"name": "run", "mountPath": _RUN}
    haproxy = container(
        "haproxy",
        image=image,
        pull_policy=pull_policy,
        resources=scheduling.resources or _MAY_USE,
        mounts=[run],
        command=_command("haproxy"),
        env=[_ADDRESS],
        ports=[_port("http", ROUTER_PORT), _port("metrics", ROUTER_METRICS_PORT)],
        # It listens as soon as the agent has brought what it is to run by, however long that takes.
        startupProbe=_listens("http", period=1, failures=600),
        livenessProbe=_listens("metrics", period=10, failures=3),
        lifecycle={"preStop": {"exec": {"command": ["sh", "-c", _LAST_WORDS]}}},
    )
    agent = container(
        "agent",
        image=image,
        pull_policy=pull_policy,
        resources=_AGENT_MAY_USE,
        mounts=[run, {"name": "api-access", "mountPath": _TOKEN, "readOnly": True}],
        command=_command("agent"),
        env=[
            {"name": "HOMESERVER_NAME", "value": server.key.name},
            _field("HOMESERVER_NAMESPACE", "metadata.namespace"),
            _field("POD_NAME", "metadata.name"),
            # It has HAProxy check what that is to run by.
            _ADDRESS,
        ],
        ports=[_port("agent", ROUTER_AGENT_PORT)],
        readinessProbe=_answers("/ready", period=2, failures=2),
        livenessProbe=_answers("/live", period=10, failures=3),
    )
    return pod_spec(
        server,
        user=ROUTER_USER,
        account=router_name(server),
        containers=[haproxy],
        sidecars=[agent],
        volumes=[
            {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
            {"name": "api-access", "projected": _api_access()},
        ],
        scheduling=scheduling,
        grace=_ACCEPTS + _FINISHES,
    )


def _command(what: str) -> list[str]:
    return ["python", "-m", "homeserver_router", what]


def _api_access() -> dict[str, Any]:
    """What Kubernetes would mount by itself, but into every container."""
    return {
        "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "kube-root-ca.crt",
                           "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        ]
    }  # fmt: skip


def _port(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


_ADDRESS: Final = _field("ROUTER_ADDRESS", "status.podIP")
"""Where HAProxy listens: so it is of whichever family the cluster's addresses are."""


def _listens(port: str, *, period: int, failures: int) -> dict[str, Any]:
    return {"tcpSocket": {"port": port}, "periodSeconds": period, "failureThreshold": failures,
            "timeoutSeconds": 2}  # fmt: skip


def _answers(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "agent"}, "periodSeconds": period,
            "failureThreshold": failures, "timeoutSeconds": 2}  # fmt: skip
