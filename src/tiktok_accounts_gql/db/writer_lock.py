"""A fair lock with a priority queue for short holders."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class WriterLock:
    """The lock that every writer to SQLite in this process holds: first come, first served, but priority holders first.

    Without it they would wait inside SQLite, which polls and keeps no order.
    """

    def __init__(self, *, timeout: float) -> None:
        """`timeout` is in seconds."""
        self._timeout = timeout
        self._locked = False
        self._priority_waiters: deque[asyncio.Future[None]] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def hold(self, *, priority: bool = False) -> AsyncGenerator[None]:
        """Hold the lock. Raises TimeoutError when it was not free in time."""
        if self._locked:
            await self._wait(self._priority_waiters if priority else self._waiters)
        self._locked = True
        try:
            yield
        finally:
            self._release()

    async def _wait(self, waiters: deque[asyncio.Future[None]]) -> None:
        """Wait until the holder hands the lock over. It is never free in between, so no newcomer can overtake."""
        waiter = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        try:
            async with asyncio.timeout(self._timeout):
                await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self._release()  # the lock was handed over at the same moment as this task was cancelled
            raise

    def _release(self) -> None:
        for waiters in (self._priority_waiters, self._waiters):
            while waiters:
                waiter = waiters.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    return
        self._locked = False
