"""How long the loop of this process stood still."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from tiktok_accounts_gql.app import tame_collector


@dataclass(slots=True)
class StandStill:
    """The longest time between two turns of the loop, in seconds."""

    seconds: float = 0.0


@asynccontextmanager
async def longest_stand_still() -> AsyncGenerator[StandStill]:
    """Within the block; with the collector as in a server, which does not go through what the tests have loaded."""
    still = StandStill()

    async def look() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            still.seconds = max(still.seconds, now - last)
            last = now

    thresholds = gc.get_threshold()
    tame_collector()
    looking = asyncio.create_task(look())
    await asyncio.sleep(0)
    try:
        yield still
        await asyncio.sleep(0)
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        gc.unfreeze()
        gc.set_threshold(*thresholds)
