"""HomeServers that several tests share."""

from typing import Any

from tests.core import case
from tests.core.case import as_stored

from homeserver_operator.api.world import ObjectKey

Objects = dict[ObjectKey, dict[str, Any]]

EVERY_CLASS: dict[str, Any] = as_stored(
    {
        "apiVersion": "homeserver-operator.io/v1alpha1",
        "kind": "HomeServer",
        "metadata": {"name": "maple"},
        "spec": {
            "serverName": "maple.example",
            "ingress": {"adminApi": True},
            "workers": [
                {"name": "front", "serves": ["sync", "initialSync", "client", "encryption"]},
                {"name": "rooms", "serves": ["eventSending", "pagination", "login", "accountData"]},
                {"name": "outer", "serves": ["userDirectory", "federation", "federationInbound"]},
                {"name": "solo", "writes": ["typing", "toDevice", "presence", "pushRules"]},
                {"name": "many", "writes": ["receipts", "deviceLists", "threadSubscriptions"]},
                {"name": "media", "serves": ["media"], "runs": ["mediaBackgroundJobs"]},
            ],
        },
    }
)
"""Every route class is some worker's."""

SYNC = {"name": "sync", "replicas": 2, "serves": ["sync"]}
SENDER = {"name": "sender", "replicas": 1, "runs": ["federationSender"]}
PERSISTER = {"name": "persister", "replicas": 1, "writes": ["events"]}
CLIENT = {"name": "client", "replicas": 1, "serves": ["client"]}
MEDIA = {"name": "media", "replicas": 1, "serves": ["media"], "runs": ["mediaBackgroundJobs"]}
USUAL = [SYNC, SENDER, PERSISTER, CLIENT, MEDIA]
ALL = {"main", "sync", "sender-0", "persister-0", "client", "media-0"}
"""The processes of `usual`."""


def usual() -> dict[str, Any]:
    """A homeserver with one group of each sort."""
    body = case.load("minimal").body
    return {**body, "spec": {**body["spec"], "workers": USUAL}}


def container(live: Objects, name: str) -> dict[str, Any]:
    """The first container of a live Deployment's template."""
    spec = live[ObjectKey("Deployment", name)]["spec"]["template"]["spec"]
    found: dict[str, Any] = spec["containers"][0]
    return found
