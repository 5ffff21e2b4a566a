"""Measures for how long the event loop of this process is blocked."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from tiktok_accounts_gql.app import tune_gc


@dataclass(slots=True)
class StandStill:
    """The longest time between two rounds of the event loop, in seconds."""

    seconds: float = 0.0


@contextmanager
def collecting_as_a_server() -> Iterator[None]:
    """Tune the garbage collector as a server does, for the length of the block."""
    thresholds = gc.get_threshold()
    tune_gc()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


@asynccontextmanager
async def longest_stand_still() -> AsyncGenerator[StandStill]:
    """Measure for the length of the block."""
    still = StandStill()

    async def measure() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            still.seconds = max(still.seconds, now - last)
            last = now

    with collecting_as_a_server():
        task = asyncio.create_task(measure())
        await asyncio.sleep(0)
        try:
            yield still
            await asyncio.sleep(0)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
