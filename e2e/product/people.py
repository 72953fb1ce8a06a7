"""People who are new on a homeserver and meet in a room."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from e2e.product.homeserver import RunningHomeServer
from e2e.product.matrix import User


@asynccontextmanager
async def newcomer(server: RunningHomeServer, name: str) -> AsyncIterator[User]:
    """A new user whose name begins so, logged in."""
    user = User(
        ingress=server.installation.cluster.ingress,
        host=server.host,
        name=f"{name}-{secrets.token_hex(4)}",
        password=secrets.token_urlsafe(16),
    )
    async with user:
        await user.sign_up()
        yield user


async def meet(users: Sequence[User]) -> str:
    """A room in which all of them are; its id."""
    room = await users[0].create_room("a room")
    for user in users[1:]:
        await user.join(room)
    return room


@asynccontextmanager
async def together(
    server: RunningHomeServer, name: str, number: int
) -> AsyncIterator[tuple[Sequence[User], str]]:
    """So many newcomers, and the room in which they are."""
    async with AsyncExitStack() as stack:
        users = [await stack.enter_async_context(newcomer(server, name)) for _ in range(number)]
        yield users, await meet(users)
