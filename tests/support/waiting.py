"""Waiting for conditions that other tasks and processes bring about."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable


async def until(condition: Callable[[], object | Awaitable[object]], *, seconds: float = 20) -> None:
    """Wait until the condition is true. Raises AssertionError after so many seconds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        is_true = condition()
        if await is_true if isawaitable(is_true) else is_true:
            return
        assert asyncio.get_running_loop().time() < deadline, condition
        await asyncio.sleep(0.02)
