"""Who is connected to a homeserver's database, looked at many times a second from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from e2e.product.installation import REPOSITORY
from e2e.product.kube import Object
from e2e.product.overlaps import Deed, Span
from homeserver_runtime.label import parse


@dataclass
class Sampling:
    """What the sampler saw; empty until it has ended."""

    looks: tuple[float, ...] = ()
    outages: tuple[float, ...] = ()
    backends: tuple[Object, ...] = ()

    @property
    def rate(self) -> float:
        """Looks in a second, of those seconds in which the database was there."""
        gaps = [later - earlier for earlier, later in pairwise(self.looks)]
        there = sum(gap for gap, (a, b) in zip(gaps, pairwise(self.looks), strict=True)
                    if not any(a < outage < b for outage in self.outages))  # fmt: skip
        return len(gaps) / there if there else 0.0

    @property
    def longest_gap(self) -> float:
        """Seconds between two looks, outages of the database included."""
        return max((later - earlier for earlier, later in pairwise(self.looks)), default=0.0)

    @property
    def spans(self) -> list[Span]:
        """Connections that Synapse worked with, as those of who only waits for entry are not."""
        return [
            Span(backend["began"], backend["seen"], parse(backend["application"]))
            for backend in self.backends
            if backend["works"]
        ]

    @property
    def deeds(self) -> list[Deed]:
        """The last that each of these was seen to do, and that it was there before."""
        return [
            Deed(at, span.label, what)
            for backend, span in zip(
                (backend for backend in self.backends if backend["works"]), self.spans, strict=True
            )
            for at, what in ((backend["began"], "connected"), (backend["last"], "was at work"))
        ]


@contextmanager
def sampling(dsn: str) -> Iterator[Sampling]:
    """Look all the time; what was seen is there afterwards."""
    seen = Sampling()
    command = [sys.executable, "-m", "e2e.product.sampler"]
    path = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'runtime'}", "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(f"{dsn}\n")
        process.stdin.flush()
        try:
            yield seen
        finally:
            output, _ = process.communicate()
    report = json.loads(output)
    seen.looks, seen.outages = tuple(report["looks"]), tuple(report["outages"])
    seen.backends = tuple(report["backends"])
