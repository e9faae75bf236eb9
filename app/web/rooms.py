"""Bounds on what one process takes in at the same time, so that its memory stays bounded however many send at once.

Whoever finds no place waits, his body unread, for a while; then he is told to come again (503, which clients do).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.errors import Unreachable

SEGMENTS, MANIFESTS = 16, 4
"""Segments, of up to 33,562,624 bytes each, and manifests, up to 4 MiB of text each, that arrive at the same time."""
PATIENCE_SECONDS = 30.0


class Room:
    """A number of places."""

    def __init__(self, what: str, places: int, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._what, self._places, self._patience = what, asyncio.Semaphore(places), patience_seconds

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place until the block ends. Raises Unreachable (`busy`) when none comes free in time."""
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError as error:
            raise Unreachable(
                f"as many {self._what} as this service takes at a time are arriving", "Send it again.", code="busy"
            ) from error
        try:
            yield
        finally:
            self._places.release()
