"""What the operator writes to the API server, by kind and verb, counted by its audit log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from e2e.bench.rig import installed
from e2e.bench.table import Measurement
from e2e.cluster.api import Cluster
from e2e.cluster.progress import RigError, step
from e2e.product.audit import Audit
from e2e.product.homeserver import RunningHomeServer
from e2e.product.installation import OPERATOR_SELECTOR, RELEASE, Installation, example
from e2e.product.kube import Object, eventually

QUIET = 15.0
"""Seconds without a write after which the operator counts as done."""

LONGEST = 300.0
RECONCILED = 'homeserver_operator_reconcile_total{outcome="success"}'


def measure(cluster: Cluster) -> Iterator[Measurement]:
    """Create the example, scale a group, restart the operator. Raises RigError."""
    if cluster.audit_log is None:
        raise RigError("writes are counted in the API server's audit log, which only the rig shows")
    with installed(cluster, "bench-writes") as installation:
        server = RunningHomeServer(installation, example())
        with step("create the example"):
            audit = Audit(cluster.audit_log)
            server.apply(server.resource)
            server.wait_ready()
            yield from _counted("create the example", audit)
        with step("scale a group"):
            audit = Audit(cluster.audit_log)
            server.apply(server.edited(_scale_sync))
            server.wait_ready()
            yield from _counted("scale a group", audit)
        with step("restart the operator"):
            audit = Audit(cluster.audit_log)
            _restart(installation)
            yield from _counted("restart the operator", audit)


def _scale_sync(spec: Object) -> None:
    next(group for group in spec["workers"] if group["name"] == "sync")["replicas"] = 3


def _counted(what: str, audit: Audit) -> Iterator[Measurement]:
    """All writes once they have ended, then each kind's."""
    deadline = time.monotonic() + LONGEST
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < QUIET:
        if time.monotonic() > deadline:
            raise RigError(f"{what}: the operator still writes after {LONGEST:.0f} s")
        if (now := len(audit.writes())) != seen:
            seen, since = now, time.monotonic()
        time.sleep(1)
    writes = audit.writes()
    yield Measurement(f"{what}, writes", "writes", [len(writes)])
    failed = sum(1 for write in writes if write.code >= 400)
    yield Measurement(f"{what}, refused among them", "writes", [failed])
    for (verb, resource), count in sorted(Counter((w.verb, w.resource) for w in writes).items()):
        yield Measurement(f"  {verb} {resource}", "writes", [count])


def _restart(installation: Installation) -> None:
    """Replace the operator's pod and wait until the new one has reconciled."""
    operator = installation.operator
    old = {pod["metadata"]["uid"] for pod in operator.list("pods", OPERATOR_SELECTOR)}
    operator.run("rollout", "restart", f"deployment/{RELEASE}")
    [pod] = eventually(
        lambda: operator.list("pods", OPERATOR_SELECTOR),
        lambda seen: len(seen) == 1 and seen[0]["metadata"]["uid"] not in old,
        what="only the new operator",
        seconds=120,
    )
    path = (
        f"/api/v1/namespaces/{operator.namespace}/pods/{pod['metadata']['name']}:8081/proxy/metrics"
    )
    eventually(
        lambda: operator.run("get", "--raw", path, check=False),
        lambda text: RECONCILED in text,
        what="a reconcile by the new operator",
        seconds=120,
    )
