"""Cancels a coroutine at its n-th suspension: while it waits, or when what it waits for is there already."""

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from enum import Enum
from typing import Any

MOST_SUSPENSIONS = 400


class When(Enum):
    WAITING = "while it waits"
    WITH_RESULT = "together with the result"


async def cancel_at_every_suspension(
    act: Callable[[], Coroutine[Any, Any, object]],
    *,
    when: When,
    after_each: Callable[[int], Awaitable[None]],
) -> int:
    """Runs `act` again and again, cancelled one suspension later each time, until it comes to its end by itself.

    `after_each` looks at what is left, with the number of the suspension. Returns how many there were.
    """
    for suspension in range(1, MOST_SUSPENSIONS):
        task = asyncio.create_task(_run(act(), suspension, when))
        async with asyncio.timeout(30):
            await asyncio.wait([task])
        await after_each(suspension)
        if not task.cancelled():
            if (error := task.exception()) is not None:
                raise error
            return suspension
    raise AssertionError("it never ends")


async def _run(coroutine: Coroutine[Any, Any, object], suspension: int, when: When) -> object:
    return await _counting(coroutine, suspension, when)


@types.coroutine
def _counting(coroutine: Coroutine[Any, Any, object], suspension: int, when: When) -> Generator[Any, Any, object]:
    task = asyncio.current_task()
    assert task is not None
    suspended = 0
    step: Callable[[Any], Any] = coroutine.send
    value: Any = None
    while True:
        try:
            awaited = step(value)
        except StopIteration as end:
            return end.value
        suspended += 1
        if suspended == suspension:
            if when is When.WAITING or awaited is None:  # None is a bare turn of the loop
                task.cancel()
            else:
                awaited.add_done_callback(lambda _: task.cancel())
        try:
            value = yield awaited
        except BaseException as error:  # noqa: BLE001 - into the coroutine, as the task does
            step, value = coroutine.throw, error
        else:
            step = coroutine.send
