"""A database that this image can never use is refused while whoever uses it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.epochs import main_of_epoch, wait_waiting, write_epoch
from tests.processes import ending
from tests.services import wait_until

if TYPE_CHECKING:
    from tests.processes import Site

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)


def test_an_image_that_is_too_old_is_refused_before_anything_stops_for_it(site: Site) -> None:
    serves, rolled_back = main_of_epoch(site, "serves", 1), main_of_epoch(site, "rolled-back", 2)
    with ending(serves, rolled_back):
        serves.start().wait_ready()
        database = serves.probe("/state")[1]["database"]
        image = database["image_schema_version"]
        assert database["schema_version"] == image >= database["compat_version"]
        assert database["max_connections"] == 150

        site.execute("UPDATE schema_compat_version SET compat_version = %s", (image + 1,))
        rolled_back.start()
        started = False
        while rolled_back.popen is not None and rolled_back.popen.poll() is None:
            started = started or rolled_back.probe("/started")[0] == 200
        assert rolled_back.wait() == 78
        assert f"can be used from version {image + 1} on" in rolled_back.termination_message
        assert f"this image's Synapse has {image}" in rolled_back.termination_message
        assert "use an image with a later Synapse" in rolled_back.termination_message

        assert not started, "who waits for warm processes would have stopped the old one"
        assert site.query("SELECT max(epoch) FROM homeserver_fences") == (1,)
        state = serves.probe("/state")[1]
        assert (state["phase"], state["fences"]) == ("serving", {"topology": 1})
        assert serves.probe("/ready")[0] == 200


def test_who_waits_leaves_to_main_which_images_can_use_the_schema(site: Site) -> None:
    """Else a switch that is given up would keep the image from its database that still serves."""
    serves, new = main_of_epoch(site, "serves", 1), write_epoch(site, 2)
    with ending(serves, *new):
        serves.start().wait_ready()
        (wanted,) = site.query("SELECT compat_version FROM schema_compat_version")
        site.execute("UPDATE schema_compat_version SET compat_version = compat_version - 1")
        new.start()
        wait_waiting(new.worker)
        assert site.query("SELECT compat_version FROM schema_compat_version") == (wanted - 1,)
        serves.signal()
        new.wait_ready()
        assert site.query("SELECT compat_version FROM schema_compat_version") == (wanted,)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        pytest.param(
            "ENCODING 'UTF8' LOCALE 'C.UTF-8'",
            "Database has incorrect collation of 'C.UTF-8'. Should be 'C'",
            id="a collation that sorts otherwise",
        ),
        pytest.param(
            "ENCODING 'SQL_ASCII' LOCALE 'C'",
            "Database has incorrect encoding: 'SQL_ASCII' instead of 'UTF8'",
            id="an encoding that keeps no text",
        ),
    ],
)
def test_a_database_made_wrongly_is_refused_in_synapses_words(
    site: Site, how: str, words: str
) -> None:
    site.postgres.execute(f"DROP DATABASE {site.database}")
    site.postgres.execute(f"CREATE DATABASE {site.database} TEMPLATE template0 {how}")
    main = site.write("main", role="main", launcher={"fences": {"topology": 1}})
    with ending(main.start()):
        assert main.wait() == 78
    assert words in main.termination_message
    assert site.query("SELECT to_regclass('homeserver_fences')") == (None,)


def test_whoever_allows_an_unsafe_locale_gets_it(site: Site) -> None:
    site.postgres.execute(f"DROP DATABASE {site.database}")
    site.postgres.execute(
        f"CREATE DATABASE {site.database} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
    )
    main = site.write("main", role="main", settings={"database": {"allow_unsafe_locale": True}})
    with ending(main.start()):
        wait_until(lambda: main.probe("/started")[0] == 200, what="a warm process")
