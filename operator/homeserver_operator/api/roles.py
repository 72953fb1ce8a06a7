"""The words of `serves`, `writes` and `runs` that other modules must know by name."""

from collections.abc import Mapping
from typing import Final

STREAMS: Final[Mapping[str, str]] = {
    "events": "events",
    "typing": "typing",
    "toDevice": "to_device",
    "accountData": "account_data",
    "receipts": "receipts",
    "presence": "presence",
    "pushRules": "push_rules",
    "deviceLists": "device_lists",
    "threadSubscriptions": "thread_subscriptions",
    "quarantinedMediaChanges": "quarantined_media_changes",
}
"""The resource's names of streams, and Synapse's keys under `stream_writers`."""

SINGLE_WRITER: Final = ("typing", "toDevice", "accountData", "presence", "pushRules")
"""Streams that exactly one process may write."""

SSO: Final = "sso"
"""The one class of requests that exactly one process may serve."""

QUARANTINED_MEDIA: Final = "quarantinedMediaChanges"
"""A stream that only a process with the media repository has anything to write to."""

MEDIA: Final = "media"
MEDIA_BACKGROUND_JOBS: Final = "mediaBackgroundJobs"
FEDERATION_SENDER: Final = "federationSender"
PUSHER: Final = "pusher"
OUTBOUND_FEDERATION: Final = "outboundFederation"
"""Requests to other servers, on behalf of every process."""

SHARED_BY_ALL: Final = frozenset({SSO, MEDIA, "federation", "federationInbound"})
"""Classes of which a group cannot serve one application service's part: its requests are not told
from others', or main would lose the rest."""

SINGLE_RUNNER: Final = ("backgroundTasks", "userDirectory", "appservices")
"""Duties that exactly one process may have."""

DUTIES: Final = frozenset(
    {*SINGLE_RUNNER, MEDIA_BACKGROUND_JOBS, FEDERATION_SENDER, PUSHER, OUTBOUND_FEDERATION}
)
"""The words of `runs`."""
