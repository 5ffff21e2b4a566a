"""Many callers, one call."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Callers with the same key at the same time share one call and its outcome.

    The call goes on when a caller is cancelled: others may wait for it, and what it changes is never half done.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, asyncio.Task[T]] = {}

    def has(self, key: Hashable) -> bool:
        """Whether a call is under way, which the next caller will share."""
        return key in self._flights

    async def run(self, key: Hashable, call: Callable[[], Awaitable[T]]) -> T:
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.ensure_future(_awaited(call))
            flight.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight)

    def find(self, key: Hashable) -> Awaitable[T] | None:
        """The call that is under way, if any."""
        flight = self._flights.get(key)
        return None if flight is None else asyncio.shield(flight)

    def _landed(self, key: Hashable, flight: asyncio.Task[T]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # seen, even if every caller has left

    async def settle(self) -> None:
        """Waits for what is under way."""
        await asyncio.gather(*self._flights.values(), return_exceptions=True)


async def _awaited(call: Callable[[], Awaitable[T]]) -> T:
    return await call()
