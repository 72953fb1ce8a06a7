"""What kind of request a path is, in the words of the resource.

Written by hand from Matrix' specification and the document, not taken from the operator's table:
it is what the table is checked against. `requests.txt` beside it has a request for every kind.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

REQUESTS = Path(__file__).with_name("requests.txt")
MAIN = "main"

_VERSION = r"/_matrix/client/(api/v1|r0|v1|v3|unstable)"
_ROOM = rf"{_VERSION}/rooms/[^/]+"
_FEDERATION = r"/_matrix/federation/(v1|v2|unstable)"

CLASSES = (
    # Where Synapse answers 500 unless the process writes the stream.
    ("typing", rf"{_ROOM}/typing/.*"),
    ("receipts", rf"{_ROOM}/(receipt/.*|read_markers)"),
    ("toDevice", rf"{_VERSION}/sendToDevice/.*"),
    ("presence", rf"{_VERSION}/presence/.*"),
    ("pushRules", rf"{_VERSION}/pushrules/.*"),
    ("threadSubscriptions", r".*/io\.element\.msc4306/.*"),
    ("quarantinedMediaChanges", r"/_synapse/admin/v1/(room|user)/[^/]+/media/quarantine"),
    ("quarantinedMediaChanges", r"/_synapse/admin/v1/quarantine_media/.*"),
    ("quarantinedMediaChanges", r"/_synapse/admin/v1/media/(un)?quarantine/.*"),
    # Where the writer is merely the shortest way.
    ("accountData", rf"{_VERSION}/user/[^/]+/(rooms/[^/]+/)?(tags|account_data)(/.*)?"),
    ("accountData", r".*/org\.matrix\.msc3391/.*"),
    ("deviceLists", rf"{_VERSION}/(devices(/.*)?|delete_devices)"),
    ("deviceLists", rf"{_VERSION}/keys/(upload|device_signing/upload|signatures/upload)"),
    # Clients.
    ("sync", rf"{_VERSION}/(sync|events)"),
    ("sync", rf"{_VERSION}/org\.matrix\.simplified_msc3575/sync"),
    ("initialSync", rf"{_VERSION}/(rooms/[^/]+/)?initialSync"),
    ("pagination", rf"{_ROOM}/messages"),
    ("media", r"/_matrix/(media|client/v1/media|federation/v1/media)/.*"),
    ("media", r"/_synapse/admin/v1/(media/.*|purge_media_cache|(room|users)/[^/]+/media)"),
    # Half-done logins are in the memory of one process.
    ("sso", rf"{_VERSION}/login/((sso|cas)/redirect(/.*)?|cas/ticket)"),
    ("sso", r"/_synapse/client/(pick_idp|pick_username.*|new_user_consent|sso_register)"),
    ("login", rf"{_VERSION}/(login|register|register/available|password_policy)"),
    ("login", rf"{_VERSION}/register/m\.login\.registration_token/validity"),
    ("encryption", rf"{_VERSION}/(keys/(query|changes|claim)|room_keys/.*)"),
    ("encryption", rf"{_VERSION}/org\.matrix\.msc3983/keys/claim"),
    ("eventSending", rf"{_ROOM}/(redact|send|state|join|invite|leave|ban|unban|kick)/.*"),
    ("eventSending", rf"{_ROOM}/(join|invite|leave|ban|unban|kick)"),
    ("eventSending", rf"{_VERSION}/((uk\.tcpip\.msc4133/)?profile|join|knock)/.*"),
    ("userDirectory", rf"{_VERSION}/user_directory/search"),
    ("client", rf"{_ROOM}/(joined_members|members|state|hierarchy|threads|aliases)"),
    ("client", rf"{_ROOM}/((context|event|relations)/.*|timestamp_to_event)"),
    ("client", rf"{_VERSION}/(createRoom(/.*)?|publicRooms|joined_rooms|search|events/.*)"),
    ("client", rf"{_VERSION}/(directory/room|user/[^/]+/filter|appservice)(/.*)?"),
    ("client", rf"{_VERSION}/(im\.nheko\.summary|room_summary)/.*"),
    ("client", rf"{_VERSION}/(account/(whoami|3pid|deactivate)|capabilities|notifications)"),
    ("client", rf"{_VERSION}/voip/turnServer|/_matrix/client/versions"),
    ("client", rf"{_VERSION}/org\.matrix\.(msc2432|msc3720|msc4143)/.*"),
    ("client", rf"{_VERSION}/org\.matrix\.msc4140/delayed_events(/[^/]+/restart)?"),
    ("client", rf"{_VERSION}/io\.element\.msc4308/.*"),
    ("client", r"/_synapse/client/(unsubscribe|media_upload_limit_exceeded)"),
    # Closing a room takes minutes.
    ("client", r"/_synapse/admin/v1/rooms/[^/]+"),
    # Other servers.
    ("federationInbound", rf"{_FEDERATION}/send/.*"),
    ("federation", rf"{_FEDERATION}/.*"),
    ("federation", r"/_matrix/key/.*"),
)
"""The kinds, each with the pattern of its paths; the first that fits decides."""


@dataclass(frozen=True)
class Sample:
    """One request: method, path with query, and body; `<name>` stands for what a test knows."""

    method: str
    target: str
    body: str

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]

    def filled(self, values: dict[str, str]) -> Sample:
        """The request with the values in place of their names, percent-encoded in the path."""
        target, body = self.target, self.body
        for name, value in values.items():
            target = target.replace(f"<{name}>", quote(value, safe=""))
            body = body.replace(f"<{name}>", value)
        return Sample(self.method, target, body)

    @property
    def content(self) -> object:
        """The body, parsed; None if there is none."""
        return json.loads(self.body) if self.body else None


def class_of(path: str) -> str:
    """The value of workers[] that claims the path, "main" if it is the main process's own."""
    return next((name for name, pattern in CLASSES if re.fullmatch(pattern, path)), MAIN)


def samples() -> list[Sample]:
    """All requests of the file."""
    lines = REQUESTS.read_text().splitlines()
    return [_sample(line) for line in lines if line and not line.startswith("#")]


def _sample(line: str) -> Sample:
    method, target, *body = line.split(maxsplit=2)
    writes = method in {"POST", "PUT"}
    return Sample(method, target, body[0] if body else "{}" if writes else "")
