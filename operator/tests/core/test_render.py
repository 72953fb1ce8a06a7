"""Files as text."""

import pytest
import yaml
from tests.core import case

from homeserver_operator.render import render, to_yaml
from homeserver_operator.render.paths import Addresses


@pytest.mark.parametrize("name", case.names())
def test_a_file_is_what_it_would_be_alone(name: str) -> None:
    """Entries that processes share are written once for all of them."""
    shown = case.load(name)
    replication = {
        process.name: f"{process.name}.invalid" for process in shown.topology.replicating
    }
    addresses = Addresses(replication=replication, postgres="postgres", redis="redis")

    written = render(shown.valid, shown.topology, addresses, case.fences_of(shown))

    assert written.keys() == {process.name for process in shown.topology.processes}
    for files in written.values():
        for text in files.values():
            assert text == to_yaml(yaml.safe_load(text))
