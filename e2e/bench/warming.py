"""Starts real Synapse processes cold, and warm behind a fence that it holds; prints JSON.

Run with the runtime and its tests on PYTHONPATH. Arguments: runs.
"""

from __future__ import annotations

import json
import sys
import time

from tests.processes import RuntimeProcess, Site
from tests.services import postgres, redis_server

from e2e.bench.behind_fence import EIGHT, homeserver, moment, start, stop, warm

STAGES = ("entered", "serving", "ready")

Times = dict[str, list[float]]


def main() -> None:
    """Print a list of seconds for each of the table's rows."""
    times: Times = {}
    with postgres() as server, redis_server() as redis:
        for number in range(int(sys.argv[1])):
            for names in (EIGHT[:1], EIGHT):
                database = f"bench_{number}_{len(names)}"
                with homeserver(server, redis, database, names) as (site, processes):
                    _measure(site, processes, times)
    print(json.dumps(times))


def _measure(site: Site, processes: list[RuntimeProcess], times: Times) -> None:
    which = "one process" if len(processes) == 1 else f"{len(processes)} processes at once"
    stop(processes)
    began = time.time()
    start(processes)
    last = max(moment(process, "ready") for process in processes) - began
    times.setdefault(f"{which}, cold, exec → all ready", []).append(last)
    stop(processes)
    with warm(site, processes, epoch=2) as fence:
        opened = time.time()
        fence.leave()
    for process in processes:
        process.wait_ready()
    for stage in STAGES:
        seconds = [moment(process, stage) - opened for process in processes]
        what = f"{which}, warm, fence open → {stage}"
        if len(seconds) == 1:
            times.setdefault(what, []).extend(seconds)
            continue
        times.setdefault(f"{what}, each", []).extend(seconds)
        times.setdefault(f"{what}, the last", []).append(max(seconds))
    stop(processes)


if __name__ == "__main__":
    main()
