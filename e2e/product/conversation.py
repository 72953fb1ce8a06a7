"""Two people meet: the smallest conversation that touches every kind of worker."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from e2e.product.matrix import User, picture

MESSAGES = 20


@dataclass(frozen=True)
class Outcome:
    """What was said and heard; equal lists in any order mean that nothing was lost or doubled."""

    sent: list[str]
    heard: list[str]
    picture_intact: bool

    @property
    def faithful(self) -> bool:
        """Whether everything arrived exactly once and the picture is the same."""
        return sorted(self.sent) == sorted(self.heard) and self.picture_intact


async def converse(ingress: str, host: str) -> Outcome:
    """Register two users, let them talk and share a picture, through the Ingress."""
    mark = secrets.token_hex(4)
    password = secrets.token_urlsafe(16)
    async with (
        User(ingress=ingress, host=host, name=f"alice-{mark}", password=password) as alice,
        User(ingress=ingress, host=host, name=f"bob-{mark}", password=password) as bob,
    ):
        for user in (alice, bob):
            await user.register()
            await user.login()
        room = await alice.create_room(f"room {mark}")
        await bob.join(room)
        await alice.sync(room, milliseconds=0)
        await bob.sync(room, milliseconds=0)

        sent, heard = [], []
        for number in range(MESSAGES // 2):
            for speaker, listener in ((alice, bob), (bob, alice)):
                text = f"message {number} of {speaker.name}"
                await speaker.send(room, text)
                sent.append(text)
                heard += [
                    line for line in await listener.hear(room, {text}) if speaker.name in line
                ]
        original = picture()
        copy = await bob.download(await alice.upload(original))
        return Outcome(sent, heard, copy == original)
