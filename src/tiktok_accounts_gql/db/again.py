"""Transactions that are done again: PostgreSQL undid them, so that others could go on."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from tiktok_accounts_gql.db.database import Deadlocked

MAX_ATTEMPTS = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.2  # seconds: whoever waited for the same rows goes first

P = ParamSpec("P")
T = TypeVar("T")


def again_if_undone(work: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """For a function whose one transaction is all that it does. Raises Deadlocked when five attempts were undone."""

    @wraps(work)
    async def persistent(*args: P.args, **kwargs: P.kwargs) -> T:
        for attempt in range(1, MAX_ATTEMPTS):
            try:
                return await work(*args, **kwargs)
            except Deadlocked:
                pause = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
        return await work(*args, **kwargs)

    return persistent
