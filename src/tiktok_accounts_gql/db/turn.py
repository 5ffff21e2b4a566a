"""One at a time, with a lane for those who are quick."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Turn:
    """Of those who write to SQLite in this process: in the order in which they came, but the quick ones before the others.

    Without it they would wait in SQLite itself, which looks again from time to time and knows no order.
    """

    def __init__(self, *, patience: float) -> None:
        self._patience = patience
        self._taken = False
        self._lanes: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque())

    @asynccontextmanager
    async def taken(self, *, soon: bool = False) -> AsyncGenerator[None]:
        """Raises TimeoutError."""
        if self._taken:
            await self._wait(self._lanes[0 if soon else 1])
        self._taken = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, lane: deque[asyncio.Future[None]]) -> None:
        """It is handed over, never free in between: nobody can overtake."""
        called = asyncio.get_running_loop().create_future()
        lane.append(called)
        try:
            async with asyncio.timeout(self._patience):
                await called
        except BaseException:
            if called.done() and not called.cancelled():
                self._pass_on()  # called and cancelled at the same moment
            raise

    def _pass_on(self) -> None:
        for lane in self._lanes:
            while lane:
                called = lane.popleft()
                if not called.done():
                    called.set_result(None)
                    return
        self._taken = False
