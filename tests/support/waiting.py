"""Waiting for what happens beside the test."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable


async def until(condition: Callable[[], object | Awaitable[object]], *, seconds: float = 20) -> None:
    """Until it is true. Raises AssertionError if it is not within so many seconds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        outcome = condition()
        if await outcome if isawaitable(outcome) else outcome:
            return
        assert asyncio.get_running_loop().time() < deadline, condition
        await asyncio.sleep(0.02)
