"""Work that is done again and again, beside the requests."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import structlog

from tiktok_accounts_gql.errors import ServiceUnavailable

ROUND_SECONDS = 5

log = structlog.get_logger()


async def repeatedly(
    work: Callable[[], Awaitable[object]], *, every: timedelta, wake: asyncio.Event | None = None
) -> None:
    """Until cancelled, which lets a round end; at once if `wake` is set.

    What fails is logged, and tried again in the next round.
    """
    wake = wake or asyncio.Event()
    while True:
        wake.clear()
        await _to_its_end(asyncio.create_task(_round(work)))
        with suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), every.total_seconds())


async def _round(work: Callable[[], Awaitable[object]]) -> None:
    try:
        await work()
    except ServiceUnavailable:
        log.warning("waiting for the database", work=work.__qualname__)
    except Exception:
        log.exception("unexpected error", work=work.__qualname__)


async def _to_its_end(round_: asyncio.Task[None]) -> None:
    """A statement that is cut off costs its connection, and the log a traceback."""
    try:
        await asyncio.shield(round_)
    finally:
        await asyncio.wait([round_], timeout=ROUND_SECONDS)
        round_.cancel()
