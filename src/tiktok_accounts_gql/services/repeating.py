"""Work beside the requests: repeated, supervised, and ended when it is told to.

Every task of this kind runs under `supervise`. `repeatedly` makes a task of work that is done in rounds.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import structlog

from tiktok_accounts_gql.services.failures import FailureKind, Failures
from tiktok_accounts_gql.tasks import cancel_and_wait

ROUND_SECONDS = 5  # that a round has to end when the process stops
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.1, 30.0

log = structlog.get_logger()


class EndedByItself(Exception):
    """A task that should run as long as the process has returned."""


async def supervise(
    work: Callable[[], Awaitable[object]],
    *,
    name: str,
    failures: Failures,
    first_retry: float = FIRST_RETRY_SECONDS,
) -> None:
    """Runs `work` until cancelled: starts it again whenever it raises or returns, after a pause that doubles.

    The pause begins with `first_retry` seconds, and again so after a run that lasted.
    """
    loop, pause = asyncio.get_running_loop(), first_retry
    while True:
        began = loop.time()
        try:
            await work()
            failures.record(FailureKind.TASK, EndedByItself(name), task=name)
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            failures.record(FailureKind.TASK, error, task=name)  # what it waited for was cancelled, and not this task
        except Exception as error:  # noqa: BLE001 - a task that ends silently does its work no more
            failures.record(FailureKind.TASK, error, task=name)
        lasted = loop.time() - began > LONGEST_RETRY_SECONDS
        pause = first_retry if lasted else pause
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
        pause = min(pause * 2, LONGEST_RETRY_SECONDS)


async def repeatedly(
    work: Callable[[], Awaitable[object]],
    *,
    every: timedelta,
    failures: Failures | None = None,
    wake: asyncio.Event | None = None,
) -> None:
    """Runs a round every so often until cancelled, which lets the round end; at once if `wake` is set.

    A round that fails is logged and counted. The next one follows sooner: after a second, then two, up to `every`.
    """
    failures, wake, failed = failures or Failures(), wake or asyncio.Event(), 0
    while True:
        wake.clear()
        worked = await _to_its_end(asyncio.create_task(_round(work, failures)))
        failed = 0 if worked else min(failed + 1, 20)
        longest = every.total_seconds()
        pause = longest if worked else min(longest, 2.0 ** (failed - 1))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await wake.wait()


async def _round(work: Callable[[], Awaitable[object]], failures: Failures) -> bool:
    """Whether it worked."""
    name = getattr(work, "__qualname__", repr(work))
    try:
        await work()
    except asyncio.CancelledError as error:
        if _is_cancelled():
            raise
        failures.record(FailureKind.ROUND, error, work=name)
    except Exception as error:  # noqa: BLE001 - the next round may work
        failures.record(FailureKind.ROUND, error, work=name)
    else:
        return True
    return False


async def _to_its_end(round_: "asyncio.Task[bool]") -> bool:
    """A statement that is cut off costs its connection, and the log a traceback: a round has some seconds to end."""
    try:
        return await asyncio.shield(round_)
    finally:
        if not round_.done():
            try:
                await asyncio.wait([round_], timeout=ROUND_SECONDS)
            finally:
                await cancel_and_wait(round_)


def _is_cancelled() -> bool:
    """Whether the task that runs now was cancelled itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
