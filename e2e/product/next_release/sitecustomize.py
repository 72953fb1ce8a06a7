"""Python imports this at its start where the folder is on PYTHONPATH: the operator's next release.

It renders other bytes for every process of Synapse, and says so.
"""

from typing import Any

from homeserver_operator import render
from homeserver_operator.build import rendering

# Where it is used, not where it is made: `render` has taken it over by name.
_render_launcher = vars(render)["render_launcher"]


def _render(*arguments: Any) -> dict[str, object]:
    return {**_render_launcher(*arguments), "late_seconds": 2.5}


rendering.RENDERING += 1  # type: ignore[misc]  # Of the present release it is final.
vars(render)["render_launcher"] = _render
