"""Work that is done again and again, beside the requests."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from tiktok_accounts_gql.errors import ServiceUnavailable

log = structlog.get_logger()


async def repeatedly(
    work: Callable[[], Awaitable[object]], *, every: timedelta, wake: asyncio.Event | None = None
) -> None:
    """Until cancelled; at once if `wake` is set. What fails is logged, and tried again in the next round."""
    wake = wake or asyncio.Event()
    while True:
        wake.clear()
        try:
            await work()
        except ServiceUnavailable:
            log.warning("waiting for the database", work=work.__qualname__)
        except Exception:
            log.exception("unexpected error", work=work.__qualname__)
        try:
            await asyncio.wait_for(wake.wait(), every.total_seconds())
        except TimeoutError:
            continue
