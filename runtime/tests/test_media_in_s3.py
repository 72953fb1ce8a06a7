"""A real media worker keeps uploads in a bucket, and reads them from there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import aiohttp
import boto3
import pytest
from moto.server import ThreadedMotoServer
from tests.matrix import register
from tests.processes import SERVER_NAME, ending
from tests.services import LOOPBACK

from e2e.cluster.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.processes import Site

pytestmark = pytest.mark.synapse
pytest_plugins = ("tests.fixtures",)

KEY = {"AWS_ACCESS_KEY_ID": "id of the key", "AWS_SECRET_ACCESS_KEY": "the key"}
"""As the operator hands it to media processes: in their environment, in no file."""

CONTENT = b"a small picture of a bee"


class Bucket:
    """One bucket of a server that speaks S3."""

    name = "hive"

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        self._client.create_bucket(Bucket=self.name)

    def content(self) -> dict[str, bytes]:
        listed = self._client.list_objects_v2(Bucket=self.name).get("Contents", ())
        return {
            found["Key"]: self._client.get_object(Bucket=self.name, Key=found["Key"])["Body"].read()
            for found in listed
        }

    def settings(self) -> dict[str, Any]:
        """What the operator renders for spec.mediaStore.s3."""
        provider = {
            "module": "s3_storage_provider.S3StorageProviderBackend",
            "store_local": True,
            "store_remote": True,
            "store_synchronous": True,
            "config": {
                "bucket": self.name,
                "endpoint_url": self.endpoint,
                "region_name": "us-east-1",
                "prefix": "matrix/",
            },
        }
        return {"media_storage_providers": [provider]}


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)
    server.start()
    try:
        _host, port = server.get_host_and_port()
        yield Bucket(f"http://{LOOPBACK}:{port}")
    finally:
        server.stop()


async def test_an_upload_survives_the_loss_of_the_volume(site: Site, bucket: Bucket) -> None:
    ports = {"main": free_port()}
    store = site.directory / "media-store"
    main = site.write("main", role="main", replication_ports=ports)
    own = bucket.settings() | {"enable_media_repo": True, "media_store_path": str(store)}
    names = ["client", "federation", "media"]
    media = site.write("media-0", settings=own, replication_ports=ports, serves=names)
    with ending(main, media):
        main.start()
        main.wait_ready()
        media.start(**KEY)
        media.wait_ready()
        token = await register(main.client_port)
        headers = {"Authorization": f"Bearer {token}"}
        url = f"http://{LOOPBACK}:{media.client_port}"
        async with aiohttp.ClientSession(url, headers=headers, raise_for_status=True) as session:
            upload = "/_matrix/media/v3/upload"
            async with session.post(upload, params={"filename": "bee.txt"}, data=CONTENT) as made:
                media_id = (await made.json())["content_uri"].rpartition("/")[2]
            ((name, stored),) = bucket.content().items()
            assert name.startswith("matrix/local_content/")
            assert stored == CONTENT

            local = store / name.removeprefix("matrix/")
            assert local.read_bytes() == CONTENT
            local.unlink()
            download = f"/_matrix/client/v1/media/download/{SERVER_NAME}/{media_id}"
            async with session.get(download) as answer:
                assert await answer.read() == CONTENT
