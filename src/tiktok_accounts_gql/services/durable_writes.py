"""Writes that must not be lost: tokens that TikTok issued, and that it issues only once.

The database may be down at that very moment. Then the process holds the tokens in memory and tries until they are stored;
callers give up after a while, and a process that ends waits for the writes, though not for ever.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from tiktok_accounts_gql.backoff import backoff
from tiktok_accounts_gql.errors import AppError, ServiceUnavailable
from tiktok_accounts_gql.single_flight import SingleFlight

T = TypeVar("T")
Write = Callable[[], Awaitable[T]]

CALLER_TIMEOUT_SECONDS = 15.0
STOP_SECONDS = 60.0
UNEXPECTED_ERROR_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=100), timedelta(seconds=2)

log = structlog.get_logger()


class DurableWriter:
    """Tries writes until the database takes them."""

    def __init__(self, *, stop_seconds: float = STOP_SECONDS) -> None:
        self._stop_seconds = stop_seconds
        self._deadline: float | None = None
        self._timeouts: set[asyncio.Timeout] = set()
        self._writes: SingleFlight[Any] = SingleFlight()

    async def store(
        self,
        key: Hashable,
        write: Write[T],
        *,
        between_attempts: Write[None] | None = None,
        timeout: float = CALLER_TIMEOUT_SECONDS,  # noqa: ASYNC109 - the caller's, not the write's
        **log_context: object,
    ) -> T:
        """Return what `write` returns, or raise the AppError that it raises.

        `write` is called again after a failure (for a few seconds only if the error is unexpected), also after a commit whose
        outcome is unknown: it has to recognize what it did already. Raises ServiceUnavailable after `timeout` seconds; the
        write goes on, and callers with the same key share it.
        """
        call = self._writes.run(key, lambda: self._retry(write, between_attempts, log_context))
        return await self._wait(call, timeout)

    async def join(self, key: Hashable, *, timeout: float = CALLER_TIMEOUT_SECONDS) -> Any:  # noqa: ASYNC109
        """Wait as `store` does, for a write that another caller began; None if there is none."""
        write = self._writes.find(key)
        return None if write is None else await self._wait(write, timeout)

    async def settle(self) -> None:
        """Wait for all writes, until the deadline that `stop` sets."""
        self.stop()
        await self._writes.settle()

    def stop(self) -> None:
        """Set the deadline of all writes: the process is about to end, and what is not stored soon is lost."""
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._stop_seconds
            for timeout in self._timeouts:
                timeout.reschedule(self._deadline)

    @staticmethod
    async def _wait(write: Awaitable[T], seconds: float) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await write
        except TimeoutError:
            raise ServiceUnavailable from None

    async def _retry(self, write: Write[T], between_attempts: Write[None] | None, log_context: dict[str, object]) -> T:
        timeout = asyncio.timeout_at(self._deadline)
        self._timeouts.add(timeout)
        try:
            async with timeout:
                return await _retry_until_stored(write, between_attempts, log_context)
        except TimeoutError:
            log.critical("tokens lost: the database did not come back before this process had to end", **log_context)
            raise ServiceUnavailable from None
        finally:
            self._timeouts.discard(timeout)


async def _retry_until_stored(
    write: Write[T], between_attempts: Write[None] | None, log_context: dict[str, object]
) -> T:
    loop = asyncio.get_running_loop()
    first_failure_at, failures = 0.0, 0
    while True:
        try:
            result = await write()
        except ServiceUnavailable:
            if not failures:
                log.warning("tokens held in memory until the database takes them", **log_context)
        except AppError:
            raise
        except Exception:
            log.exception("tokens not stored", **log_context)
            if failures and loop.time() - first_failure_at > UNEXPECTED_ERROR_SECONDS:
                raise
        else:
            if failures:
                log.info("tokens stored", held_seconds=round(loop.time() - first_failure_at, 1), **log_context)
            return result
        first_failure_at, failures = first_failure_at or loop.time(), failures + 1
        await asyncio.sleep(backoff(failures, first=FIRST_PAUSE, longest=LONGEST_PAUSE).total_seconds())
        if between_attempts is not None:
            with suppress(Exception):  # the next attempt reports what is wrong
                await between_attempts()
