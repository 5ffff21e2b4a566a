"""The work beside the requests: listening to other processes, jobs, and the table of periodic work.

Every task is supervised (`services/periodic.py`): one that fails or ends is logged, counted and restarted.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from tiktok_accounts_gql.jobs.worker import Handlers, Heartbeat, JobWorker
from tiktok_accounts_gql.services.cost_budget import RETURN_EVERY
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog
from tiktok_accounts_gql.services.periodic import Work, run_every, supervise
from tiktok_accounts_gql.services.revocations import RETRY_EVERY as REVOCATION_INTERVAL
from tiktok_accounts_gql.services.sync.schedule import ENQUEUE_INTERVAL
from tiktok_accounts_gql.services.tokens import REFRESH_EXPIRING_INTERVAL
from tiktok_accounts_gql.services.webhooks import RETRY_EVERY as WEBHOOK_INTERVAL
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tasks import cancel_and_wait
from tiktok_accounts_gql.wiring import Running

PRUNE_INTERVAL = timedelta(hours=1)
HEARTBEAT = Heartbeat()

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicWork:
    """Work that is run at an interval, and at once when `wake` is set."""

    name: str
    run: Work
    interval: timedelta
    wake: asyncio.Event | None = None


@asynccontextmanager
async def in_background(
    running: Running,
    settings: Settings,
    *,
    worker: bool = True,
    watched: bool = False,
    heartbeat: Heartbeat = HEARTBEAT,
) -> AsyncGenerator[None]:
    """Run the work beside the requests during the block.

    `worker`: sync jobs and the schedule as well. `watched`: callers in this process subscribe to what other processes do.
    """
    jobs = _build_worker(running, settings, heartbeat) if worker else None
    table = list_periodic_work(running, jobs, heartbeat)
    tasks: dict[str, Work] = {
        work.name: partial(run_every, work.interval, work.run, failures=running.failures, wake=work.wake)
        for work in table
    }
    if watched and running.notifications.has_listener:
        tasks["events"] = running.notifications.listen
    async with jobs.run() if jobs else nullcontext():
        try:
            async with supervise_all(tasks, running.failures):
                yield
        finally:
            if jobs:
                running.reader.stop()


def list_periodic_work(running: Running, jobs: JobWorker | None, heartbeat: Heartbeat) -> list[PeriodicWork]:
    """Return all periodic work of a process; without a worker, what every process does."""
    services, schedule = running.services, running.schedule
    webhooks, budget = services.webhooks, services.budget
    table = [
        PeriodicWork(name="revocations", run=running.revocations.process_due, interval=REVOCATION_INTERVAL),
        PeriodicWork(name="token refreshes", run=running.tokens.refresh_expiring, interval=REFRESH_EXPIRING_INTERVAL),
        PeriodicWork(name="cost budgets", run=budget.return_unused, interval=RETURN_EVERY),
        PeriodicWork(
            name="webhooks", run=webhooks.process_and_prune, interval=WEBHOOK_INTERVAL, wake=webhooks.received
        ),
    ]
    if jobs is None:
        return table
    return [
        *table,
        PeriodicWork(name="heartbeat", run=jobs.recover_dead_workers, interval=heartbeat.interval),
        PeriodicWork(name="schedule", run=schedule.enqueue_due, interval=ENQUEUE_INTERVAL),
        PeriodicWork(name="pruning of keys and attempts", run=running.pruning.prune, interval=PRUNE_INTERVAL),
        PeriodicWork(name="pruning of jobs", run=schedule.prune, interval=PRUNE_INTERVAL),
        PeriodicWork(name="downsampling of snapshots", run=services.history.downsample, interval=PRUNE_INTERVAL),
        PeriodicWork(name="pruning of cost budgets", run=budget.prune, interval=PRUNE_INTERVAL),
        PeriodicWork(name="pruning of the job engine", run=jobs.prune, interval=PRUNE_INTERVAL),
    ]


def _build_worker(running: Running, settings: Settings, heartbeat: Heartbeat) -> JobWorker:
    return JobWorker(
        url=settings.database_url,
        db=running.db,
        handlers=Handlers(
            fan_out=running.job_runner.fan_out,
            sync=running.job_runner.sync_result,
            scheduled=running.schedule.sync_scheduled,
        ),
        concurrency=settings.worker_concurrency,
        dead_after=heartbeat.dead_after,
    )


@asynccontextmanager
async def supervise_all(tasks: Mapping[str, Work], failures: FailureLog) -> AsyncGenerator[None]:
    """Run and supervise the tasks during the block. A supervisor that ends before is logged and counted."""
    supervisors = [
        asyncio.create_task(supervise(work, name=name, failures=failures), name=name) for name, work in tasks.items()
    ]
    on_end = partial(_record_end, failures)
    for task in supervisors:
        task.add_done_callback(on_end)
    try:
        yield
    finally:
        for task in supervisors:
            task.remove_done_callback(on_end)
        await cancel_and_wait(*supervisors)


def _record_end(failures: FailureLog, task: "asyncio.Task[None]") -> None:
    failures.count(FailureKind.TASK)
    error = None if task.cancelled() else task.exception()
    log.critical("background task ended for good", task=task.get_name(), exc_info=error)
