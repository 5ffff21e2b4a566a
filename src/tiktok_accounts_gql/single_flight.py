"""Sharing of one call between concurrent callers (single-flight)."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Concurrent callers with the same key share one call and its result.

    The call continues when a caller is cancelled: others may wait for it, and its changes are never left half done.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, asyncio.Task[T]] = {}

    def has(self, key: Hashable) -> bool:
        """Return whether a call is running, which the next caller will share."""
        return key in self._flights

    async def run(self, key: Hashable, call: Callable[[], Awaitable[T]]) -> T:
        """Return the result of the running call, or start `call`. Raises what the call raises."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.ensure_future(_await(call))
            flight.add_done_callback(partial(self._remove, key))
        return await asyncio.shield(flight)

    def find(self, key: Hashable) -> Awaitable[T] | None:
        """Return an awaitable of the running call, or None."""
        flight = self._flights.get(key)
        return None if flight is None else asyncio.shield(flight)

    def _remove(self, key: Hashable, flight: asyncio.Task[T]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # retrieved, even if every caller was cancelled

    async def settle(self) -> None:
        """Wait until the calls that are running now have ended."""
        await asyncio.gather(*self._flights.values(), return_exceptions=True)


async def _await(call: Callable[[], Awaitable[T]]) -> T:
    return await call()
