"""The command line of the benchmarks: `python -m e2e.bench [NAME…]`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator

from e2e.bench import core, downtime, fronts, memory, readiness, rig, start, warm, writes
from e2e.bench.cost import measuring
from e2e.bench.machine import machine, revision
from e2e.bench.table import Measurement, table
from e2e.cluster import debian
from e2e.cluster.progress import RigError, say
from e2e.product.kube import KubectlError

DOWNTIME_ROUNDS, FRONTS_ROUNDS = 10, 1

Options = argparse.Namespace
Benchmark = Callable[[Options], Iterator[Measurement]]


def _start(options: Options) -> Iterator[Measurement]:
    """How long a cluster takes to come up."""
    return start.measure(options.runs, cold=options.cold)


def _ready(options: Options) -> Iterator[Measurement]:
    """The example, from apply to Ready and to a message."""
    with rig.running_cluster() as cluster:
        yield from readiness.measure(cluster, options.runs)


def _writes(_: Options) -> Iterator[Measurement]:
    """What the operator writes to create, to scale, and when it is restarted."""
    with rig.running_cluster() as cluster:
        yield from writes.measure(cluster)


def _memory(options: Options) -> Iterator[Measurement]:
    """The operator's memory, calm and reaction with many HomeServers, without a cluster."""
    return memory.measure(options.homeservers)


def _core(options: Options) -> Iterator[Measurement]:
    """How long the operator thinks about a large homeserver, and about many."""
    return core.measure(options.runs)


def _warm(options: Options) -> Iterator[Measurement]:
    """What remains of Synapse's start once the fence opens, for one process and for eight."""
    return warm.measure(options.runs)


def _downtime(options: Options) -> Iterator[Measurement]:
    """A full restart of eight processes under load as clients see it, beside other ways."""
    with rig.running_cluster() as cluster:
        yield from downtime.measure(cluster, options.rounds or DOWNTIME_ROUNDS)


def _fronts(options: Options) -> Iterator[Measurement]:
    """Full restarts under one load behind the router, the Ingress alone and a plain HAProxy."""
    with rig.running_cluster() as cluster:
        yield from fronts.measure(cluster, options.rounds or FRONTS_ROUNDS)


def _cost(options: Options) -> Iterator[Measurement]:
    """What the router costs a request, beside HAProxy without routes, nginx and Traefik."""
    return measuring.measure(options.runs)


BENCHMARKS: dict[str, Benchmark] = {
    "start": _start,
    "ready": _ready,
    "writes": _writes,
    "memory": _memory,
    "core": _core,
    "warm": _warm,
    "cost": _cost,
    "downtime": _downtime,
    "fronts": _fronts,
}


def main() -> int:
    """Run the chosen benchmarks; print what was measured, even if one of them failed."""
    options = _parser().parse_args()
    os.environ["PATH"] = debian.PATH
    measured: list[Measurement] = []
    try:
        for name in options.names or BENCHMARKS:
            say(f"\n{name}")
            for measurement in BENCHMARKS[name](options):
                measured.append(measurement)
                say(f"  {measurement.what}: {measurement.row()[1]} {measurement.unit}")
    except (RigError, KubectlError, AssertionError, TimeoutError) as error:
        say(f"error: {error or type(error).__name__}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        print(f"\n{machine()}\nrevision {revision()}\n\n{table(measured)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    described = "".join(f"\n  {name:<9}{run.__doc__}" for name, run in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m e2e.bench",
        description=f"Measures, prints a table, and leaves nothing behind.\n{described}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Without a name argparse holds the empty list against the choices.
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*BENCHMARKS, []])
    parser.add_argument("--runs", type=_positive, default=3, help="repetitions (3)")
    parser.add_argument(
        "--rounds",
        type=_positive,
        help="restarts of each kind with "
        f"`downtime` ({DOWNTIME_ROUNDS}) and `fronts` ({FRONTS_ROUNDS})",
    )
    parser.add_argument("--cold", action="store_true", help="with `start`: from nothing, too")
    parser.add_argument(
        "--homeservers", type=_positive, default=100, help="with `memory`: how many (100)"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
