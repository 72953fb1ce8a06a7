"""Settings of media are in the files of media repositories alone."""

import importlib.util
import re
from pathlib import Path

from tests.core.synapse_pod import settings

from homeserver_operator.render.media import MEDIA_KEYS


def test_media_settings_are_dropped_only_where_synapse_does_not_read_them() -> None:
    """A media option changes no pod but the media repositories' own; so nobody else may need it."""
    assert "max_upload_size" not in settings("media-split", "reed")
    assert "max_upload_size" not in settings("media-split", "main")
    assert settings("media-split", "gallery-0")["max_upload_size"] == "70M"
    assert settings("media-split", "reed")["url_preview_enabled"] is True


def test_the_settings_that_only_media_repositories_read_are_those_of_synapse() -> None:
    """All that Synapse's media section reads after it has turned away everybody else."""
    config = importlib.util.find_spec("synapse.config")
    assert config is not None
    directory = Path(next(iter(config.submodule_search_locations or ())))
    sources = {path.stem: path.read_text() for path in directory.glob("*.py")}
    _before, after = sources.pop("repository").split("self.can_load_media_repo = True")
    read = set(re.findall(r'config(?:\.get\(|\[)\s*"(\w+)"', after))
    ours = {"media_store_path", "media_instance_running_background_jobs"}
    inside_a_provider = {"module", "store_local", "store_remote", "store_synchronous"}
    assert read - ours - inside_a_provider == MEDIA_KEYS
    elsewhere = {key for key in MEDIA_KEYS for text in sources.values() if f'"{key}"' in text}
    assert not elsewhere
