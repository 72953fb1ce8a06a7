"""What the cluster applies to itself."""

from __future__ import annotations

import yaml

from e2e.cluster import addons
from e2e.cluster.instance import Instance


def test_every_manifest_is_whole_and_filled_in() -> None:
    text = addons.manifests(Instance())
    objects = [each for each in yaml.safe_load_all(text) if each]
    assert {each["kind"] for each in objects} >= {"Deployment", "StorageClass", "IngressClass"}
    assert "${" not in text
