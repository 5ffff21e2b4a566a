"""Work whose outcome has to be known, whoever leaves meanwhile."""

import asyncio
from collections.abc import Coroutine
from typing import Any

PATIENCE_SECONDS = 2.0  # of who leaves: a database that is silent keeps nobody


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """As `await work`, but whoever is cancelled meanwhile leaves when it has ended, or its time is over.

    Raises what `work` raises.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await _end(task)
        raise


async def _end(task: asyncio.Task[None]) -> None:
    try:
        await asyncio.wait([task], timeout=PATIENCE_SECONDS)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # nobody is left to be told
