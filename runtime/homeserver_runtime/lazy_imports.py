"""Imports ahead of time what Synapse imports only when it starts to serve.

A process that waits for its turn does this while it waits; the list costs nothing but memory, and
a module that a version of Synapse does not have is passed over.
"""

from __future__ import annotations

import contextlib
import importlib

_MODULES: tuple[str, ...] = ()


def load() -> None:
    """Imports what there is of the list."""
    for module in _MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
