"""Work that goes on when its caller is cancelled, because its outcome has to be known."""

import asyncio
from collections.abc import Coroutine
from typing import Any

GRACE_SECONDS = 2.0  # after the caller is cancelled: a database that does not answer must not keep it


async def finish_despite_cancellation(work: Coroutine[Any, Any, None]) -> None:
    """Await `work`. If the caller is cancelled, let it finish within `GRACE_SECONDS` first, then cancel it too.

    Raises what `work` raises, and CancelledError once the cancelled caller may leave.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await asyncio.wait([task], timeout=GRACE_SECONDS)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # retrieved, so that asyncio does not log it as never retrieved
        raise
