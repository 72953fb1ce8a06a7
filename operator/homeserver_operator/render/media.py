"""Settings that only a process with the media repository reads.

Anybody else who had them would restart for nothing when they change.
"""

from collections.abc import Mapping
from typing import Any, Final

from homeserver_operator.api.roles import MEDIA_BACKGROUND_JOBS
from homeserver_operator.api.spec import HomeServer
from homeserver_operator.api.stores import Bucket
from homeserver_operator.topology import Process, Topology

MEDIA_KEYS: Final = frozenset(
    {
        "backup_media_store_path",
        "dynamic_thumbnails",
        "enable_authenticated_media",
        "enable_local_media_storage",
        "max_image_pixels",
        "max_pending_media_uploads",
        "max_spider_size",
        "max_upload_size",
        "media_retention",
        "media_storage_providers",
        "media_upload_limits",
        "prevent_media_downloads_from",
        "synchronous_backup_media_store",
        "thumbnail_sizes",
        "unused_expiration_time",
        "url_preview_accept_language",
        "url_preview_ip_range_blacklist",
        "url_preview_ip_range_whitelist",
        "url_preview_url_blacklist",
    }
)
"""Keys of the user's that only a media repository reads (synapse/config/repository.py)."""


def readable(process: Process, overlay: Mapping[str, Any]) -> dict[str, Any]:
    """What of the user's overlay this process reads."""
    if process.media_repository:
        return dict(overlay)
    return {key: value for key, value in overlay.items() if key not in MEDIA_KEYS}


def media_settings(server: HomeServer, topology: Topology, process: Process) -> dict[str, Any]:
    """Our own settings of a media repository; nothing for other processes."""
    if not process.media_repository:
        return {}
    settings: dict[str, Any] = {}
    if jobs := topology.runners.get(MEDIA_BACKGROUND_JOBS):
        settings["media_instance_running_background_jobs"] = jobs[0]
    if server.media.s3:
        settings["media_storage_providers"] = [_s3(server.media.s3)]
    return settings


def _s3(bucket: Bucket) -> dict[str, Any]:
    """Without the access key: boto3 takes that from the environment."""
    optional = {
        "region_name": bucket.region,
        "endpoint_url": bucket.endpoint,
        "prefix": bucket.prefix,
    }
    return {
        "module": "s3_storage_provider.S3StorageProviderBackend",
        # Said each, because Synapse's defaults store nothing at all.
        "store_local": bucket.store_local,
        "store_remote": bucket.store_remote,
        "store_synchronous": bucket.store_synchronous,
        "config": {"bucket": bucket.name}
        | {name: value for name, value in optional.items() if value},
    }
