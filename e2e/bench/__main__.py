"""The command line of the benchmarks: `python -m e2e.bench [NAME…]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial

from e2e.bench import memory
from e2e.bench.machine import machine, revision
from e2e.bench.table import Measurement, table
from e2e.cluster.progress import RigError, say

Benchmark = Callable[[], Iterator[Measurement]]


def main() -> int:
    """Run the chosen benchmarks; print what was measured, even if one of them failed."""
    arguments = _parser().parse_args()
    chosen: dict[str, Benchmark] = {
        "memory": partial(memory.measure, arguments.homeservers),
    }
    measured: list[Measurement] = []
    try:
        for name in arguments.names or chosen:
            say(f"\n{name}")
            for measurement in chosen[name]():
                measured.append(measurement)
                say(f"  {' '.join(measurement.row()[:2])} {measurement.unit}")
    except RigError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        print(f"\n{machine()}\nrevision {revision()}\n\n{table(measured)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m e2e.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--homeservers", type=int, default=100)
    return parser


if __name__ == "__main__":
    sys.exit(main())
