"""Storing what must not be lost: tokens that TikTok gave, and that nobody can get again.

The database may be away at that very moment. Then the process holds them in memory and tries until they are stored; whoever
waits gives up after a while, and a process that ends waits for it, though not for ever.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from tiktok_accounts_gql.errors import AppError, ServiceUnavailable
from tiktok_accounts_gql.single_flight import SingleFlight

T = TypeVar("T")
Work = Callable[[], Awaitable[T]]

PATIENCE_SECONDS = 15.0
STOP_SECONDS = 60.0
UNEXPECTED_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

log = structlog.get_logger()


async def _nothing() -> None:
    return


class Storing:
    """Writes that are tried until the database takes them."""

    def __init__(self, *, stop_seconds: float = STOP_SECONDS) -> None:
        self._stop_seconds = stop_seconds
        self._ends_at: float | None = None
        self._limits: set[asyncio.Timeout] = set()
        self._writes: SingleFlight[Any] = SingleFlight()

    async def store(
        self,
        key: Hashable,
        write: Work[T],
        *,
        meanwhile: Work[None] = _nothing,
        patience: float = PATIENCE_SECONDS,
        **about: object,
    ) -> T:
        """What `write` returns, or the AppError by which it says how it ended.

        `write` is called again after a failure (after one that nobody expects for a while only), also after a commit whose
        outcome nobody knows: it has to notice what it did already. `meanwhile` comes between two tries; `about` is for the
        log. Raises ServiceUnavailable when `patience` seconds are over; the write goes on, and others with the same key wait
        for the same one.
        """
        return await self._wait(self._writes.run(key, lambda: self._until_stored(write, meanwhile, about)), patience)

    async def join(self, key: Hashable, *, patience: float = PATIENCE_SECONDS) -> Any:
        """As `store`, for a write that is under way; None if there is none."""
        write = self._writes.find(key)
        return None if write is None else await self._wait(write, patience)

    async def settle(self) -> None:
        """Waits for all writes. Those of others who settle meanwhile have the same end."""
        self.stop()
        await self._writes.settle()

    def stop(self) -> None:
        """The process is about to end: what is not stored soon is lost."""
        if self._ends_at is None:
            self._ends_at = asyncio.get_running_loop().time() + self._stop_seconds
            for limit in self._limits:
                limit.reschedule(self._ends_at)

    @staticmethod
    async def _wait(write: Awaitable[T], patience: float) -> T:
        try:
            async with asyncio.timeout(patience):
                return await write
        except TimeoutError:
            raise ServiceUnavailable from None

    async def _until_stored(self, write: Work[T], meanwhile: Work[None], about: dict[str, object]) -> T:
        limit = asyncio.timeout_at(self._ends_at)
        self._limits.add(limit)
        try:
            async with limit:
                return await _tried(write, meanwhile, about)
        except TimeoutError:
            log.critical("tokens lost: the database did not come back before this process had to end", **about)
            raise ServiceUnavailable from None
        finally:
            self._limits.discard(limit)


async def _tried(write: Work[T], meanwhile: Work[None], about: dict[str, object]) -> T:
    loop = asyncio.get_running_loop()
    failed_at, failures = 0.0, 0
    while True:
        try:
            result = await write()
        except ServiceUnavailable:
            _note(failures, about)
        except AppError:
            raise
        except Exception:
            log.exception("tokens not stored", **about)
            if failures and loop.time() - failed_at > UNEXPECTED_SECONDS:
                raise
        else:
            if failures:
                log.info("tokens stored", held_seconds=round(loop.time() - failed_at, 1), **about)
            return result
        failed_at, failures = failed_at or loop.time(), failures + 1
        await asyncio.sleep(_pause(failures))
        with suppress(Exception):  # the next try tells what is wrong
            await meanwhile()


def _note(failures: int, about: dict[str, object]) -> None:
    if not failures:
        log.warning("tokens held in memory until the database takes them", **about)


def _pause(failures: int) -> float:
    longest = min(FIRST_PAUSE_SECONDS * (1 << min(failures - 1, 10)), LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1)  # noqa: S311 - no secret
