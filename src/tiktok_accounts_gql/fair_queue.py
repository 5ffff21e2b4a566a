"""Queues in which callers take turns: each key has a line of its own, and the lines are served one place each in turn.

So a caller with a thousand places waits behind itself, and somebody new for one place of each other caller at most.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Futures, one for each place. `length`: how many places there are."""

    def __init__(self) -> None:
        self.length = 0
        self._lines: dict[str, deque[asyncio.Future[T]]] = {}  # the next one to be served comes first

    def join(self, key: str) -> asyncio.Future[T]:
        """A place at the end of the key's line."""
        place: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(key, deque()).append(place)
        self.length += 1
        return place

    def leave(self, key: str, place: asyncio.Future[T]) -> None:
        """Gives a place up, unless it was served."""
        line = self._lines.get(key)
        if line is None or place not in line:
            return
        line.remove(place)
        self.length -= 1
        if not line:
            del self._lines[key]

    def next(self) -> asyncio.Future[T] | None:
        """Takes out whose turn it is. A place that is done was given up, and costs its line no turn."""
        while self._lines:
            key = next(iter(self._lines))
            line = self._lines.pop(key)
            place = line.popleft()
            self.length -= 1
            while place.done() and line:
                place = line.popleft()
                self.length -= 1
            if line:
                self._lines[key] = line  # behind all others
            if not place.done():
                return place
        return None

    def count_ahead(self, key: str) -> int:
        """How many places are served before the next one to join the key's line, at least."""
        own = len(self._lines.get(key, ()))
        return own + sum(min(len(line), own) for other, line in self._lines.items() if other != key)


class TooLate(Exception):
    """A lock was not had in time."""


class FairLock:
    """A lock with one holder at a time; those who wait for it take turns."""

    def __init__(self) -> None:
        self._queue: FairQueue[None] = FairQueue()
        self.is_held = False

    def count_ahead(self, key: str) -> int:
        """How many hold it before the next one to ask under this key, at least; the present holder counts."""
        return self.is_held + self._queue.count_ahead(key)

    @asynccontextmanager
    async def held(self, key: str, *, until: float | None = None) -> AsyncGenerator[None]:
        """`until`: how long it is waited for, by the loop's clock; None for ever. Raises TooLate."""
        if self.is_held:
            await self._wait(key, until)
        self.is_held = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, key: str, until: float | None) -> None:
        """It is handed over, never free in between: nobody can overtake."""
        place = self._queue.join(key)
        try:
            async with asyncio.timeout_at(until):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                self._pass_on()  # handed over and cancelled at the same moment
            self._queue.leave(key, place)
            if isinstance(error, TimeoutError):
                raise TooLate from None
            raise

    def _pass_on(self) -> None:
        if (place := self._queue.next()) is not None:
            place.set_result(None)
        else:
            self.is_held = False
