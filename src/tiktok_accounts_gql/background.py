"""The work that goes on beside the requests, from its beginning to its end."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from tiktok_accounts_gql.jobs.worker import JobWorker, Pulse, Works
from tiktok_accounts_gql.services import revocations as owed
from tiktok_accounts_gql.services import scheduling
from tiktok_accounts_gql.services import tokens as renewals
from tiktok_accounts_gql.services import webhooks as told
from tiktok_accounts_gql.services.repeating import repeatedly
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running

PRUNE_EVERY = timedelta(hours=1)
PULSE = Pulse()

Work = Callable[[], Coroutine[Any, Any, None]]


@asynccontextmanager
async def in_background(
    running: Running, settings: Settings, *, worker: bool = True, watched: bool = False, pulse: Pulse = PULSE
) -> AsyncGenerator[None]:
    """The work that goes on beside the requests.

    `worker`: sync jobs and the schedule as well. `watched`: somebody here wants to know what other processes do.
    """
    webhooks = running.services.webhooks
    work: list[Work] = [
        partial(repeatedly, running.revocations.settle_due, every=owed.RETRY_EVERY),
        partial(repeatedly, running.tokens.renew_ending, every=renewals.RENEW_ENDING_EVERY),
        partial(repeatedly, webhooks.process_all, every=told.RETRY_EVERY, wake=webhooks.arrived),
    ]
    if watched:
        work.append(running.notifications.listen)
    async with AsyncExitStack() as stack:
        if worker:
            work += await _job_work(stack, running, settings, pulse)
        await stack.enter_async_context(_going_on(work))
        yield


async def _job_work(stack: AsyncExitStack, running: Running, settings: Settings, pulse: Pulse) -> list[Work]:
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
    return [
        partial(repeatedly, jobs.look_after, every=pulse.beat_every),
        partial(repeatedly, running.schedule.enqueue_due, every=scheduling.LOOK_EVERY),
        partial(repeatedly, running.schedule.prune, every=PRUNE_EVERY),
        partial(repeatedly, running.services.history.thin, every=PRUNE_EVERY),
        partial(repeatedly, jobs.prune, every=PRUNE_EVERY),
    ]


@asynccontextmanager
async def _going_on(work: list[Work]) -> AsyncGenerator[None]:
    tasks = [asyncio.create_task(one()) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*tasks, return_exceptions=True)
