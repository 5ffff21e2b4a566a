"""The worker: runs what is enqueued, on this process' event loop, and takes over what dead processes left.

DBOS keeps no heartbeats in its core: on PostgreSQL the work of a process that died stays PENDING under its name. So each
worker notes by the database's clock that it lives, and the living resume the work of those who were not seen for a while.
On SQLite there is one process, whose name stays: it recovers its own work when it starts.

The engine runs threads; the services live on the event loop. A workflow is a bridge of one call between the two: what it
does is idempotent by its own keys in the database, so the engine needs no steps. A failure would be its last word for the
engine, so a database that is away is waited for.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import structlog
from dbos import DBOS, DBOSPortableJSONSerializer, WorkflowStatus
from sqlalchemy.engine import make_url

from tiktok_accounts_gql.database_urls import to_libpq_url
from tiktok_accounts_gql.db import workers
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.jobs.queue import APPLICATION, FAN_OUT, QUEUE, SCHEDULED, SYNC, VERSION

POLL_SECONDS = 0.2
LOST_AFTER = timedelta(minutes=1)
KEPT = timedelta(days=1)
PRUNE_BATCH = 200
STOP_SECONDS = 10
MOST_RECOVERIES = 1000
RETRY_SECONDS = 1.0

log = structlog.get_logger()
Work = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Works:
    """What each kind of work does: the viewer's id, and the id of a job, a result or an account."""

    fan_out: Work
    sync: Work
    scheduled: Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How often a process tells that it lives, and after how long without it is taken for dead."""

    beat_every: timedelta = timedelta(seconds=10)
    dead_after: timedelta = timedelta(seconds=45)


class JobWorker:
    """One per process: the engine is global to it."""

    def __init__(self, *, url: str, db: Database, works: Works, concurrency: int, dead_after: timedelta) -> None:
        self._url = url
        self._db = db
        self._works = works
        self._concurrency = concurrency
        self._dead_after = dead_after
        self._under_way: set[str] = set()
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
            with suppress(ServiceUnavailable):  # then it is dead after a while
                async with self._db.transaction() as session:
                    await workers.retire(session, self._executor_id)

    async def look_after(self) -> None:
        """At every beat: tells that this one lives, and resumes the work of those who do not.

        What cannot be taken over stops nothing behind it. Raises ExceptionGroup at the end then.
        """
        await self._beat()
        errors: list[Exception] = []
        steps: list[Callable[[], Awaitable[None]]] = [self._resume_own]
        steps += [partial(self._take_over, executor_id) for executor_id in await self._list_dead()]
        for step in steps:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
        if errors:
            raise ExceptionGroup("work was not taken over", errors)

    async def _list_dead(self) -> Sequence[str]:
        if self._embedded:
            return []
        async with self._db.read() as session:
            return await workers.list_dead(session, unseen_for=self._dead_after)

    async def _resume_own(self) -> None:
        await asyncio.to_thread(self._resume_lost)

    async def _take_over(self, executor_id: str) -> None:
        resumed = await asyncio.to_thread(_resume_all, executor_id)
        async with self._db.transaction() as session:
            await workers.remove(session, executor_id)  # only now: a crash in between leaves it to somebody else
        log.warning("work of a dead process taken over", executor_id=executor_id, works=resumed)

    async def prune(self) -> None:
        """Work that ended a day ago."""
        await asyncio.to_thread(_prune, datetime.now(UTC) - KEPT)

    async def _beat(self) -> None:
        async with self._db.transaction() as session:
            await workers.record_heartbeat(session, self._executor_id)

    def _configure(self, loop: asyncio.AbstractEventLoop) -> None:
        DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": to_libpq_url(self._url),
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
            DBOS.workflow(name=name, max_recovery_attempts=MOST_RECOVERIES)(self._bridge(loop, name, work))

    def _launch(self) -> None:
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=self._concurrency, polling_interval_sec=POLL_SECONDS)

    def _bridge(self, loop: asyncio.AbstractEventLoop, name: str, work: Work) -> Callable[[str, str], None]:
        def run(viewer_id: str, subject: str) -> None:
            work_id = str(DBOS.workflow_id)
            self._under_way.add(work_id)
            try:
                future: Future[Any] = asyncio.run_coroutine_threadsafe(_persistently(work, viewer_id, subject), loop)
                future.result()
            finally:
                self._under_way.discard(work_id)

        run.__name__ = run.__qualname__ = name
        return run

    def _resume_lost(self) -> None:
        """Work that this process took and never began, for the database went away in between."""
        taken = _pending_of(self._executor_id, dequeued_before=datetime.now(UTC) - LOST_AFTER)
        lost = [workflow for workflow in taken if workflow.workflow_id not in self._under_way]
        if _resume(lost):
            log.warning("lost work taken up again", works=len(lost))


async def _persistently(work: Work, viewer_id: str, subject: str) -> None:
    waited = False
    while True:
        try:
            return await work(viewer_id, subject)
        except ServiceUnavailable:
            if not waited:
                log.warning("work waits for the database", subject=subject)
            waited = True
        await asyncio.sleep(RETRY_SECONDS)


def _pending_of(executor_id: str, *, dequeued_before: datetime | None = None) -> list[WorkflowStatus]:
    before = None if dequeued_before is None else dequeued_before.isoformat()
    return DBOS.list_workflows(
        status="PENDING", executor_id=executor_id, dequeued_before=before, load_input=False, load_output=False
    )


def _resume(workflows: list[WorkflowStatus]) -> int:
    if workflows:
        DBOS.resume_workflows([workflow.workflow_id for workflow in workflows], queue_name=QUEUE)
    return len(workflows)


def _resume_all(executor_id: str) -> int:
    return _resume(_pending_of(executor_id))


def _prune(before: datetime) -> None:
    while True:
        ended = DBOS.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED"],
            completed_before=before.isoformat(),
            limit=PRUNE_BATCH,
            load_input=False,
            load_output=False,
        )
        if not ended:
            return
        DBOS.delete_workflows([workflow.workflow_id for workflow in ended])
