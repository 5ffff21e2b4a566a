"""A throttle for work that blocks the event loop: preparing a document takes milliseconds in which nothing else runs.

One task works at a time, and after each there is a pause of a multiple of the time that it took. So clients that send
nothing but new documents share a fixed part of the loop, and another client's new document waits for few of theirs.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

PAUSE_RATIO = 3.0  # pause / work: the work takes at most a quarter of the loop's time


class LoopThrottle:
    """A lock that is free again some time after it was released. There is one in each process."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._free_at = 0.0

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Wait for the pause to end; the block must not await, or its waiting counts as work."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if (pause := self._free_at - loop.time()) > 0:
                await asyncio.sleep(pause)
            started_at = loop.time()
            try:
                yield
            finally:
                ended_at = loop.time()
                self._free_at = ended_at + PAUSE_RATIO * (ended_at - started_at)
