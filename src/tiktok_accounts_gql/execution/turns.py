"""Turns for work that keeps the event loop busy: preparing a document takes milliseconds in which nobody else runs.

One at a time, and after each a pause of a multiple of the time that it took. So callers who send nothing but new documents
share a fixed part of the loop among themselves, and a new document of somebody else waits for a few of them at most.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

PAUSE_RATIO = 3.0  # a quarter of the loop's time


class Turns:
    """One per process."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._free_at = 0.0

    @asynccontextmanager
    async def take(self) -> AsyncGenerator[None]:
        """Waits until it is this caller's turn; the block itself must not wait for anything."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if (pause := self._free_at - loop.time()) > 0:
                await asyncio.sleep(pause)
            began = loop.time()
            try:
                yield
            finally:
                ended = loop.time()
                self._free_at = ended + PAUSE_RATIO * (ended - began)
