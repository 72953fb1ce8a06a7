"""The size of a process's caches, from the memory that its container may use.

Left alone, Synapse's caches grow with what users do until the kernel kills the process at its
limit. With a bound it drops the oldest entries instead.
"""

from decimal import Decimal
from typing import Any, Final

from homeserver_operator.api.quantities import quantity
from homeserver_operator.topology import Process

_MOST: Final = Decimal("0.70")
_TARGET: Final = Decimal("0.55")
"""Shares of the limit at which entries begin to be dropped, and until when.

What is compared with them is all that jemalloc has given out, not the caches alone. The rest is for
what it does not count (code, stacks, fragments) and for what comes between two looks, which are
30 s apart.
"""

_SPARED: Final = "1m"
"""Entries that were used this recently are kept, or the process would only fetch them again."""


def cache_settings(process: Process) -> dict[str, Any]:
    """Synapse's `caches` for a process with a memory limit; nothing for one without."""
    limit = quantity(process.options.scheduling.resources.get("limits", {}).get("memory", ""))
    if not limit:
        return {}
    autotuning = {
        "max_cache_memory_usage": int(limit * _MOST),
        "target_cache_memory_usage": int(limit * _TARGET),
        "min_cache_ttl": _SPARED,
    }
    return {"caches": {"cache_autotuning": autotuning}}
