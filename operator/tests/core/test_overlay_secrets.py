"""Every secret that Synapse's own --no-secrets-in-config refuses is refused in an overlay too.

The list is read from the source of the installed Synapse, so that a new one turns this red.
"""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from homeserver_operator.validate import overlay

Path_ = tuple[str, ...]


def sources() -> dict[str, ast.Module]:
    config = importlib.util.find_spec("synapse.config")
    assert config is not None
    directory = Path(next(iter(config.submodule_search_locations or ())))
    return {path.stem: ast.parse(path.read_text()) for path in sorted(directory.glob("*.py"))}


def conditions(module: ast.Module) -> Iterator[ast.If]:
    """Each `if <secret> and not allow_secrets_in_config`."""
    for node in ast.walk(module):
        if isinstance(node, ast.If) and "not allow_secrets_in_config" in ast.unparse(node.test):
            yield node


def refused(condition: ast.If) -> Path_:
    """The path that the ConfigError below names."""
    (raised,) = condition.body
    assert isinstance(raised, ast.Raise)
    assert isinstance(raised.exc, ast.Call)
    _message, *rest = [*raised.exc.args, *(keyword.value for keyword in raised.exc.keywords)]
    path = ast.literal_eval(rest[0])
    assert path
    assert all(isinstance(step, str) for step in path)
    return tuple(path)


REFUSED = sorted(refused(found) for module in sources().values() for found in conditions(module))


def test_synapse_still_refuses_secrets_in_the_way_that_is_read_here() -> None:
    assert len(REFUSED) >= 9
    assert ("redis", "password") in REFUSED
    assert ("turn_shared_secret",) in REFUSED
    mentions = sum(
        ast.unparse(module).count("not allow_secrets_in_config") for module in sources().values()
    )
    assert mentions == len(REFUSED), "a secret that is refused in another way"


@pytest.mark.parametrize("path", REFUSED, ids=".".join)
def test_a_secret_that_synapse_refuses_is_refused_by_name(path: Path_) -> None:
    value: Any = "word"
    for step in reversed(path):
        value = {step: value}
    (problem,) = overlay.problems(value, "spec.config")
    assert problem.startswith(f"spec.config.{path[0]}")
    assert "word" not in problem
