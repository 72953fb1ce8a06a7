"""Looking for things in what /sync answers, and what else several tests need."""

from __future__ import annotations

from collections.abc import Iterable

from e2e.product.kube import Object
from e2e.product.matrix import User

CLIENT = "/_matrix/client/v3"


def device_keys(user: User) -> Object:
    """The identity of a device, in form; nobody here looks at signatures."""
    return {
        "user_id": user.id,
        "device_id": user.device,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": {f"curve25519:{user.device}": f"identity of {user.name}"},
        "signatures": {},
    }


def in_room(news: Object, room: str, section: str, type_: str) -> list[Object]:
    """Events of one type in a section of a joined room: timeline, ephemeral, account_data."""
    joined = news.get("rooms", {}).get("join", {}).get(room, {})
    return [e for e in joined.get(section, {}).get("events", ()) if e["type"] == type_]


def any_of(found: Iterable[bool]) -> bool | None:
    """Whether there is one, in the way of User.find: None to go on looking."""
    return True if any(found) else None
