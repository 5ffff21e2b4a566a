"""Retrying transactions that PostgreSQL rolled back to resolve a deadlock or a serialization failure."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from tiktok_accounts_gql.db.errors import Deadlocked

MAX_ATTEMPTS = 5
_BASE_DELAY, _MAX_DELAY = 0.01, 0.2  # seconds: the transaction that waits for the same rows goes first

P = ParamSpec("P")
T = TypeVar("T")


def retry_on_deadlock(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Call the function again, up to `MAX_ATTEMPTS` times in all, when its transaction was rolled back.

    Only for a function whose one transaction is all that it does. It raises Deadlocked if the last attempt fails too.
    """

    @wraps(function)
    async def retrying(*args: P.args, **kwargs: P.kwargs) -> T:
        for attempt in range(1, MAX_ATTEMPTS):
            try:
                return await function(*args, **kwargs)
            except Deadlocked:
                delay = min(_BASE_DELAY * 2**attempt, _MAX_DELAY)
                await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - no secret
        return await function(*args, **kwargs)

    return retrying
