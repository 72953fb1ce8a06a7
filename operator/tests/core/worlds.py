"""HomeServers that several tests share."""

from collections.abc import Sequence
from typing import Any

from tests.core import case
from tests.core.case import as_stored

from homeserver_operator.api.roles import SSO
from homeserver_operator.api.world import Object, ObjectKey

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
                {"name": "entry", "serves": ["sso"]},
                {"name": "outer", "serves": ["userDirectory", "federation", "federationInbound"]},
                {"name": "solo", "writes": ["typing", "toDevice", "presence", "pushRules"]},
                {"name": "many", "writes": ["receipts", "deviceLists", "threadSubscriptions"]},
                {"name": "media", "serves": ["media"], "runs": ["mediaBackgroundJobs"]},
            ],
        },
    }
)
"""Every route class is some worker's."""

MAS_SECRET: case.References = {ObjectKey("Secret", "mas"): {"word": b"word of mas"}}


def with_mas(body: Object) -> dict[str, Any]:
    """The same with the Matrix Authentication Service, and so without logins of Synapse's."""
    workers = [
        group | {"serves": left}
        for group in body["spec"]["workers"]
        if (left := [word for word in group.get("serves", ()) if word != SSO]) or "writes" in group
    ]
    mas = {
        "endpoint": "http://mas:8080/",
        "secret": {"secretName": "mas", "key": "word"},
        "service": {"name": "mas", "port": 8080},
    }
    spec = body["spec"] | {"workers": workers, "matrixAuthenticationService": mas}
    return {**body, "spec": spec}


REGISTRATION = """\
id: bridge
url: http://bridge:9000
as_token: word-of-bridge
hs_token: word-of-homeserver
sender_localpart: bridge
namespaces:
  users:
    - {exclusive: true, regex: "@bridge_.*:maple\\\\.example"}
"""
BRIDGE_SECRET: case.References = {
    ObjectKey("Secret", "bridge"): {"registration.yaml": REGISTRATION.encode()}
}


def with_bridge(body: Object, *, serves: Sequence[str] = ("sync", "client")) -> dict[str, Any]:
    """The same with an application service and a group that serves it alone."""
    group = {"name": "bridged", "serves": [*serves], "appservices": ["bridge"]}
    spec = body["spec"] | {
        "workers": [*body["spec"]["workers"], group],
        "appservices": [{"name": "bridge", "secretName": "bridge"}],
    }
    return {**body, "spec": spec}


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
