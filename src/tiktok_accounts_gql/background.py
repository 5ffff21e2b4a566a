"""The work that goes on beside the requests, from its beginning to its end.

Every task is supervised (`services/repeating.py`): one that fails or ends is logged, counted and started again.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial

import structlog

from tiktok_accounts_gql.jobs.worker import JobWorker, Pulse, Works
from tiktok_accounts_gql.services import cost_budget, scheduling
from tiktok_accounts_gql.services import revocations as owed
from tiktok_accounts_gql.services import tokens as renewals
from tiktok_accounts_gql.services import webhooks as told
from tiktok_accounts_gql.services.failures import FailureKind, Failures
from tiktok_accounts_gql.services.repeating import repeatedly, supervise
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tasks import cancel_and_wait
from tiktok_accounts_gql.wiring import Running

PRUNE_EVERY = timedelta(hours=1)
PULSE = Pulse()

log = structlog.get_logger()
Work = Callable[[], Awaitable[object]]


@asynccontextmanager
async def in_background(
    running: Running, settings: Settings, *, worker: bool = True, watched: bool = False, pulse: Pulse = PULSE
) -> AsyncGenerator[None]:
    """The work that goes on beside the requests.

    `worker`: sync jobs and the schedule as well. `watched`: somebody here wants to know what other processes do.
    """
    webhooks, again = running.services.webhooks, partial(repeatedly, failures=running.failures)
    tasks: dict[str, Work] = {
        "revocations": partial(again, running.revocations.process_due, every=owed.RETRY_EVERY),
        "renewals": partial(again, running.tokens.renew_ending, every=renewals.RENEW_ENDING_EVERY),
        "cost budgets": partial(again, running.services.budget.return_unused, every=cost_budget.RETURN_EVERY),
        "webhooks": partial(again, webhooks.process_and_prune, every=told.RETRY_EVERY, wake=webhooks.received),
    }
    if watched and running.notifications.has_listener:
        tasks["events"] = running.notifications.listen
    async with AsyncExitStack() as stack:
        if worker:
            tasks |= await _job_tasks(stack, running, settings, pulse)
        await stack.enter_async_context(supervised(tasks, running.failures))
        yield


async def _job_tasks(stack: AsyncExitStack, running: Running, settings: Settings, pulse: Pulse) -> Mapping[str, Work]:
    works = Works(
        fan_out=running.job_work.fan_out,
        sync=running.job_work.perform,
        scheduled=running.schedule.perform,
    )
    jobs = JobWorker(
        url=settings.database_url,
        db=running.db,
        works=works,
        concurrency=settings.worker_concurrency,
        dead_after=pulse.dead_after,
    )
    await stack.enter_async_context(jobs.running())
    stack.callback(running.reader.stop)
    again = partial(repeatedly, failures=running.failures)
    return {
        "heartbeat": partial(again, jobs.look_after, every=pulse.beat_every),
        "schedule": partial(again, running.schedule.enqueue_due, every=scheduling.LOOK_EVERY),
        "pruning of keys and attempts": partial(again, running.pruning.prune, every=PRUNE_EVERY),
        "pruning of jobs": partial(again, running.schedule.prune, every=PRUNE_EVERY),
        "thinning of snapshots": partial(again, running.services.history.downsample, every=PRUNE_EVERY),
        "pruning of cost budgets": partial(again, running.services.budget.prune, every=PRUNE_EVERY),
        "pruning of the engine": partial(again, jobs.prune, every=PRUNE_EVERY),
    }


@asynccontextmanager
async def supervised(tasks: Mapping[str, Work], failures: Failures) -> AsyncGenerator[None]:
    """The tasks run while the block does. None ends before: should a supervisor do so, it is logged and counted."""
    running = [
        asyncio.create_task(supervise(work, name=name, failures=failures), name=name) for name, work in tasks.items()
    ]
    noticed = partial(_notice_end, failures)
    for task in running:
        task.add_done_callback(noticed)
    try:
        yield
    finally:
        for task in running:
            task.remove_done_callback(noticed)
        await cancel_and_wait(*running)


def _notice_end(failures: Failures, task: "asyncio.Task[None]") -> None:
    failures.count(FailureKind.TASK)
    error = None if task.cancelled() else task.exception()
    log.critical("background task ended for good", task=task.get_name(), exc_info=error)
