"""Tasks that run as long as the process does: restarted when they end, and work that is repeated at an interval."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from tiktok_accounts_gql.backoff import backoff
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog
from tiktok_accounts_gql.tasks import cancel_and_wait

STOP_SECONDS = 5  # that a run may still take when the process stops
FIRST_RESTART, LONGEST_RESTART = timedelta(seconds=0.1), timedelta(seconds=30)
FIRST_RETRY = timedelta(seconds=1)

Work = Callable[[], Awaitable[object]]


class TaskReturned(Exception):
    """A task that should run as long as the process has returned."""


async def supervise(work: Work, *, name: str, failures: FailureLog, first_restart: timedelta = FIRST_RESTART) -> None:
    """Run `work` until cancelled: restart it whenever it raises or returns, after a backoff.

    The backoff begins with `first_restart`, and again so after a run that lasted.
    """
    loop, restarts = asyncio.get_running_loop(), 0
    while True:
        started_at = loop.time()
        try:
            await work()
            failures.record(FailureKind.TASK, TaskReturned(name), task=name)
        except asyncio.CancelledError as error:
            if _is_current_task_cancelled():
                raise
            failures.record(FailureKind.TASK, error, task=name)  # what it waited for was cancelled, not this task
        except Exception as error:  # noqa: BLE001 - recorded; the task is restarted
            failures.record(FailureKind.TASK, error, task=name)
        has_lasted = loop.time() - started_at > LONGEST_RESTART.total_seconds()
        restarts = 1 if has_lasted else restarts + 1
        await asyncio.sleep(backoff(restarts, first=first_restart, longest=LONGEST_RESTART).total_seconds())


async def run_every(
    interval: timedelta, work: Work, *, failures: FailureLog | None = None, wake: asyncio.Event | None = None
) -> None:
    """Run `work` at an interval until cancelled, and at once when `wake` is set. A cancellation lets the run end.

    A run that fails is logged and counted. The next one follows sooner: after a second, then two, up to the interval.
    """
    failures, wake, failed_runs = failures or FailureLog(), wake or asyncio.Event(), 0
    while True:
        wake.clear()
        has_worked = await _let_end(asyncio.create_task(_run(work, failures)))
        failed_runs = 0 if has_worked else failed_runs + 1
        pause = interval if has_worked else backoff(failed_runs, first=FIRST_RETRY, longest=interval)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause.total_seconds()):
                await wake.wait()


async def _run(work: Work, failures: FailureLog) -> bool:
    """Run `work` once; return False if it failed, which is recorded."""
    name = getattr(work, "__qualname__", repr(work))
    try:
        await work()
    except asyncio.CancelledError as error:
        if _is_current_task_cancelled():
            raise
        failures.record(FailureKind.ROUND, error, work=name)
    except Exception as error:  # noqa: BLE001 - recorded; the next run may work
        failures.record(FailureKind.ROUND, error, work=name)
    else:
        return True
    return False


async def _let_end(run: "asyncio.Task[bool]") -> bool:
    """Wait for a run; if cancelled meanwhile, give it some seconds to end.

    A statement that is cancelled costs its connection, and the log a traceback.
    """
    try:
        return await asyncio.shield(run)
    finally:
        if not run.done():
            try:
                await asyncio.wait([run], timeout=STOP_SECONDS)
            finally:
                await cancel_and_wait(run)


def _is_current_task_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
