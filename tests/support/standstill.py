"""How long the loop of this process stood still."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from tiktok_accounts_gql.app import tune_gc


@dataclass(slots=True)
class StandStill:
    """The longest time between two turns of the loop, in seconds."""

    seconds: float = 0.0


@contextmanager
def collecting_as_a_server() -> Iterator[None]:
    """Within the block the collector does not go through what the tests have loaded."""
    thresholds = gc.get_threshold()
    tune_gc()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


@asynccontextmanager
async def longest_stand_still() -> AsyncGenerator[StandStill]:
    """Within the block."""
    still = StandStill()

    async def look() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            still.seconds = max(still.seconds, now - last)
            last = now

    with collecting_as_a_server():
        looking = asyncio.create_task(look())
        await asyncio.sleep(0)
        try:
            yield still
            await asyncio.sleep(0)
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
