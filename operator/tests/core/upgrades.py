"""Another release of the operator takes over: it renders other bytes and has other default images.

Take a homeserver from `running` before: what it makes afterwards is of the other release.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.core.case import DEFAULTS
from tests.core.scenario import Scenario

from homeserver_operator import render
from homeserver_operator.build import rendering as counted
from homeserver_operator.build import stores
from homeserver_operator.cli import plan
from homeserver_operator.plan import release
from homeserver_operator.render.launcher_yaml import render_launcher
from homeserver_operator.status import release as told

NEXT_IMAGE = "runtime.invalid/synapse:8.0"

Install = Callable[..., None]


def installer(monkeypatch: pytest.MonkeyPatch) -> Install:
    """What replaces the operator by one of a `rendering` of its own, and an `image`."""
    of_launcher, of_store = render_launcher, stores.store_files

    def install(
        scenario: Scenario, rendering: int, image: str = NEXT_IMAGE, *, store: str = ""
    ) -> None:
        """Of rendering 1 all is as it is. `store` names one whose files differ too."""

        def launcher(*arguments: Any) -> Mapping[str, object]:
            settings = of_launcher(*arguments)
            return settings if rendering == 1 else {**settings, "news": rendering}

        def files(name: str) -> Mapping[str, str]:
            found = of_store(name)
            return {**found, "news": str(rendering)} if name == store else found

        for module in (counted, release, told, plan):
            monkeypatch.setattr(module, "RENDERING", rendering)
        monkeypatch.setattr(render, "render_launcher", launcher)
        monkeypatch.setattr(stores, "store_files", files)
        scenario.defaults = replace(DEFAULTS, image=image)

    return install
