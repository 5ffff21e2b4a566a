"""Queues that are fair between keys: each key has a queue of its own, and the keys are served round robin.

So a caller with a thousand places waits behind itself, and a new caller waits for one place of each other caller at most.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A queue of futures, one for each place. `length`: how many places there are."""

    def __init__(self) -> None:
        self.length = 0
        self._places: dict[str, deque[asyncio.Future[T]]] = {}  # by key; the key to be served next comes first

    def join(self, key: str) -> asyncio.Future[T]:
        """Add a place at the end of the key's queue, and return it."""
        place: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._places.setdefault(key, deque()).append(place)
        self.length += 1
        return place

    def leave(self, key: str, place: asyncio.Future[T]) -> None:
        """Remove a place, unless it was served."""
        places = self._places.get(key)
        if places is None or place not in places:
            return
        places.remove(place)
        self.length -= 1
        if not places:
            del self._places[key]

    def next(self) -> asyncio.Future[T] | None:
        """Remove and return the place to be served next; None if there is none.

        A place that is done was given up by its caller: it is dropped, and the key's next place is served instead.
        """
        while self._places:
            key = next(iter(self._places))
            places = self._places.pop(key)
            place = places.popleft()
            self.length -= 1
            while place.done() and places:
                place = places.popleft()
                self.length -= 1
            if places:
                self._places[key] = places  # behind all other keys
            if not place.done():
                return place
        return None

    def count_ahead(self, key: str) -> int:
        """Count the places that are served before the next one to join the key's queue, at least."""
        length = len(self._places.get(key, ()))
        return length + sum(min(len(places), length) for other, places in self._places.items() if other != key)


class LockTimeout(Exception):
    """The lock was not acquired before the deadline."""


class FairLock:
    """A lock with one holder at a time, fair between the keys that wait for it."""

    def __init__(self) -> None:
        self._queue: FairQueue[None] = FairQueue()
        self.is_held = False

    def count_ahead(self, key: str) -> int:
        """Count the callers that hold the lock before the next one with this key, at least; the present holder included."""
        return self.is_held + self._queue.count_ahead(key)

    @asynccontextmanager
    async def hold(self, key: str, *, deadline: float | None = None) -> AsyncGenerator[None]:
        """Hold the lock during the block. `deadline`: by the loop's clock, None for ever. Raises LockTimeout."""
        if self.is_held:
            await self._wait(key, deadline)
        self.is_held = True
        try:
            yield
        finally:
            self._hand_over()

    async def _wait(self, key: str, deadline: float | None) -> None:
        """Wait until the lock is handed over; it is never free in between, so that no caller can overtake."""
        place = self._queue.join(key)
        try:
            async with asyncio.timeout_at(deadline):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                self._hand_over()  # the lock was handed over and the caller cancelled at the same moment
            self._queue.leave(key, place)
            if isinstance(error, TimeoutError):
                raise LockTimeout from None
            raise

    def _hand_over(self) -> None:
        if (place := self._queue.next()) is not None:
            place.set_result(None)
        else:
            self.is_held = False
