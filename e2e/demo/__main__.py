"""The demonstration: cluster, operator, example, conversation, and who answered what.

Everything is left running for a look around; status 1 if anything failed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from e2e.cluster import api
from e2e.cluster.progress import RigError, say
from e2e.product.conversation import MESSAGES, Outcome, converse
from e2e.product.http import wait_answering
from e2e.product.installation import EXAMPLE, Installation, example, ready_cluster
from e2e.product.requests import Request, answered
from e2e.product.routes import class_of

NAMESPACE = "homeserver-demo"
USE_THE_RIG = '\n  eval "$(.venv/bin/python -m e2e.cluster env)"'
END_THE_RIG = "\n  make down          (the cluster; built images stay cached)"


class Stages:
    """Runs stages one after the other and remembers how long each took."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Announce a stage and take its time."""
        say(f"\n{len(self.seconds) + 1}. {title}")
        started = time.monotonic()
        yield
        took = time.monotonic() - started
        self.seconds.append((title, took))
        say(f"   done in {took:.1f} s")


def main() -> int:
    """Run all stages; print the table."""
    stages = Stages()
    try:
        return _demonstrate(stages)
    except (RigError, AssertionError, TimeoutError) as error:
        say(f"\nthe demonstration failed: {error or type(error).__name__}")
        return 1


def _demonstrate(stages: Stages) -> int:
    with stages.stage("a Kubernetes cluster, and the images in it"):
        cluster = ready_cluster()
    installation = Installation(cluster, NAMESPACE)
    with stages.stage("the operator, by Helm"):
        installation.install()
    server = example()
    name, host = server["metadata"]["name"], server["spec"]["ingress"]["host"]
    with stages.stage(f"kubectl apply -f examples/{EXAMPLE.name}, and wait for Ready"):
        installation.kube.apply(server)
        installation.wait_ready(name)
    with stages.stage("until the ingress controller knows all of it"):
        wait_answering(cluster.ingress, host)
    since = datetime.now(UTC).isoformat(timespec="seconds")
    with stages.stage(f"two people exchange {MESSAGES} messages and a picture through the Ingress"):
        outcome = asyncio.run(converse(cluster.ingress, host))
    _summary(installation, outcome, list(answered(installation.kube, since)), stages, name)
    return 0 if outcome.faithful else 1


def _summary(
    installation: Installation,
    outcome: Outcome,
    requests: list[Request],
    stages: Stages,
    name: str,
) -> None:
    say(f"\nsent {len(outcome.sent)}, heard {len(outcome.heard)}, the picture arrived "
        f"{'intact' if outcome.picture_intact else 'DAMAGED'}")  # fmt: skip
    say("\nwhich requests were answered where (from Synapse's own logs)")
    counts = Counter((class_of(request.path), request.pod) for request in requests)
    width = max((len(route_class) for route_class, _ in counts), default=0)
    for (route_class, pod), count in sorted(counts.items()):
        say(f"  {route_class:<{width}}  {count:>4}  {pod}")
    say("\nhow long each stage took")
    for title, seconds in stages.seconds:
        say(f"  {seconds:>7.1f} s  {title}")
    kube = f"kubectl -n {installation.namespace}"
    # A cluster of the user's own is theirs to keep, and their shell knows it.
    use, end = (USE_THE_RIG, END_THE_RIG) if api.is_own() else ("", "")
    say(f"""
look further{use}
  {kube} get homeserver {name}
  {kube} get deployments,pods,services,ingresses
  {kube} describe homeserver {name}
  {kube} logs deployment/{name}-persister-0
clean up{end}
  {kube} delete homeserver {name}     (only the homeserver; its data stay)""")


if __name__ == "__main__":
    sys.exit(main())
