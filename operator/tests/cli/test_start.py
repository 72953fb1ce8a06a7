"""How much the plugin loads before it knows what it is asked."""

import subprocess
import sys

import pytest
from tests.shell.operator_process import OPERATOR

HEAVY = ("aiohttp", "kubernetes", "prometheus_client", "homeserver_operator.transport")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["routes", "-f", "missing.yaml"]],
    ids=["help", "a question about a file"],
)
def test_without_a_cluster_no_client_is_imported(arguments: list[str]) -> None:
    program = f"""
import contextlib, sys
from homeserver_operator.cli.__main__ import main
with contextlib.suppress(SystemExit):
    main({arguments})
print("loaded", *[name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(OPERATOR)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "loaded"
