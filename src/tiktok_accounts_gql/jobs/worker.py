"""The worker: runs what is enqueued, on this process' event loop, and takes over what dead processes left.

DBOS keeps no heartbeats in its core: on PostgreSQL the work of a process that died stays PENDING under its name. So each
worker notes by the database's clock that it lives, and the living resume the work of those who were not seen for a while.
On SQLite there is one process, whose name stays: it recovers its own work when it starts.

The engine runs threads; the services live on the event loop. A workflow is a bridge of one call between the two: what it
does is idempotent by its own keys in the database, so the engine needs no steps.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import structlog
from dbos import DBOS, DBOSPortableJSONSerializer
from sqlalchemy.engine import make_url

from tiktok_accounts_gql.db import workers
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.jobs.queue import APPLICATION, FAN_OUT, QUEUE, SCHEDULED, SYNC, VERSION, engine_url

POLL_SECONDS = 0.2
BEAT_EVERY = timedelta(seconds=10)
DEAD_AFTER = timedelta(seconds=45)
STOP_SECONDS = 10
MOST_RECOVERIES = 1000

log = structlog.get_logger()
Work = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Works:
    """What each kind of work does: the viewer's id, and the id of a job, a result or an account."""

    fan_out: Work
    sync: Work
    scheduled: Work


class JobWorker:
    """One per process: the engine is global to it."""

    def __init__(self, *, url: str, db: Database, works: Works, concurrency: int) -> None:
        self._url = url
        self._db = db
        self._works = works
        self._concurrency = concurrency
        embedded = make_url(url).get_backend_name() == "sqlite"
        self._executor_id = "embedded" if embedded else uuid4().hex
        self._embedded = embedded

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Works until the block ends; then what is under way has some seconds to end, and is taken over else."""
        await self._beat()
        self._configure(asyncio.get_running_loop())
        await asyncio.to_thread(self._launch)
        try:
            yield
        finally:
            await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=STOP_SECONDS)
            async with self._db.transaction() as session:
                await workers.retire(session, self._executor_id)

    async def look_after(self) -> None:
        """Once every BEAT_EVERY: tells that this one lives, and resumes the work of those who do not."""
        await self._beat()
        if self._embedded:
            return
        async with self._db.read() as session:
            dead = await workers.list_dead(session, unseen_for=DEAD_AFTER)
        for executor_id in dead:
            resumed = await asyncio.to_thread(_resume_work_of, executor_id)
            async with self._db.transaction() as session:
                await workers.forget(session, executor_id)  # only now: a crash in between leaves it to somebody else
            log.warning("work of a dead process taken over", executor_id=executor_id, works=resumed)

    async def _beat(self) -> None:
        async with self._db.transaction() as session:
            await workers.beat(session, self._executor_id)

    def _configure(self, loop: asyncio.AbstractEventLoop) -> None:
        DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": engine_url(self._url),
                "executor_id": self._executor_id,
                "application_version": VERSION,
                "serializer": DBOSPortableJSONSerializer(),
                "run_migrations": False,
                "log_level": "WARNING",
            }
        )
        for name, work in (
            (FAN_OUT, self._works.fan_out),
            (SYNC, self._works.sync),
            (SCHEDULED, self._works.scheduled),
        ):
            DBOS.workflow(name=name, max_recovery_attempts=MOST_RECOVERIES)(_bridge(loop, name, work))

    def _launch(self) -> None:
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=self._concurrency, polling_interval_sec=POLL_SECONDS)


def _bridge(loop: asyncio.AbstractEventLoop, name: str, work: Work) -> Callable[[str, str], None]:
    def run(viewer_id: str, subject: str) -> None:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(_awaited(work, viewer_id, subject), loop)
        future.result()

    run.__name__ = run.__qualname__ = name
    return run


async def _awaited(work: Work, viewer_id: str, subject: str) -> None:
    await work(viewer_id, subject)


def _resume_work_of(executor_id: str) -> int:
    pending = DBOS.list_workflows(status="PENDING", executor_id=executor_id)
    if pending:
        DBOS.resume_workflows([workflow.workflow_id for workflow in pending], queue_name=QUEUE)
    return len(pending)
