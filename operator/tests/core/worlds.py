"""HomeServers that several tests share."""

from typing import Any

from tests.core.case import as_stored

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
