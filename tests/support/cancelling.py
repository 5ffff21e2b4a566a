"""Cancels a coroutine at its n-th suspension: while it waits, or at the moment when it has its result."""

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from enum import Enum
from typing import Any

MAX_SUSPENSIONS = 400


class When(Enum):
    WAITING = "while it waits"
    WITH_RESULT = "together with the result"


async def cancel_at_every_suspension(
    act: Callable[[], Coroutine[Any, Any, object]],
    *,
    when: When,
    after_each: Callable[[int], Awaitable[None]],
) -> int:
    """Run `act` repeatedly, cancelled one suspension later each time, until it ends without a cancellation.

    `after_each` is called after each run with the number of the suspension. Return how many there were.
    """
    for suspension in range(1, MAX_SUSPENSIONS):
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
    return await _cancel_at(coroutine, suspension, when)


@types.coroutine
def _cancel_at(coroutine: Coroutine[Any, Any, object], suspension: int, when: When) -> Generator[Any, Any, object]:
    task = asyncio.current_task()
    assert task is not None
    suspensions = 0
    step: Callable[[Any], Any] = coroutine.send
    value: Any = None
    while True:
        try:
            awaited = step(value)
        except StopIteration as end:
            return end.value
        suspensions += 1
        if suspensions == suspension:
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
