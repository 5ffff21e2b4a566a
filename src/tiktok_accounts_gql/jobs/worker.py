"""The worker: runs what is enqueued on this process' event loop, and recovers the work of dead workers.

DBOS has no heartbeats in its core: on PostgreSQL the work of a process that died stays PENDING under its name. So each worker
writes a heartbeat by the database's clock, and living workers resume the work of those without one for a while. On SQLite
there is one process, whose name stays the same: it recovers its own work when it starts.

The engine runs threads; the services live on the event loop. A workflow is a bridge of one call between the two: handlers
are idempotent by their own keys in the database, so the engine needs no steps. For the engine a failure would be final, so a
handler that finds the database down is retried here.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
RETENTION = timedelta(days=1)
PRUNE_BATCH = 200
STOP_SECONDS = 10
MAX_RECOVERIES = 1000
RETRY_SECONDS = 1.0

log = structlog.get_logger()
Handler = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """A handler for each kind of work. Its arguments: the viewer's id, and the id of a job, a result or an account."""

    fan_out: Handler
    sync: Handler
    scheduled: Handler


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """How often a worker writes a heartbeat, and after how long without one it is considered dead."""

    interval: timedelta = timedelta(seconds=10)
    dead_after: timedelta = timedelta(seconds=45)


class JobWorker:
    """The worker of this process; there is one, because the engine is global to the process."""

    def __init__(self, *, url: str, db: Database, handlers: Handlers, concurrency: int, dead_after: timedelta) -> None:
        self._url = url
        self._db = db
        self._handlers = handlers
        self._concurrency = concurrency
        self._dead_after = dead_after
        self._running_ids: set[str] = set()
        self._is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self._executor_id = "embedded" if self._is_sqlite else uuid4().hex

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[None]:
        """Run handlers until the block ends. Those that run then have some seconds to end; others recover the rest."""
        await self._beat()
        self._configure(asyncio.get_running_loop())
        await asyncio.to_thread(self._launch)
        try:
            yield
        finally:
            await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=STOP_SECONDS)
            with suppress(ServiceUnavailable):  # then the heartbeat ends, and this worker counts as dead after a while
                async with self._db.transaction() as session:
                    await workers.retire(session, self._executor_id)

    async def recover_dead_workers(self) -> None:
        """Write a heartbeat, and resume lost work of this worker and all work of dead ones.

        A worker that cannot be recovered does not stop the recovery of the next. Raises ExceptionGroup at the end.
        """
        await self._beat()
        dead: Sequence[str] = []
        if not self._is_sqlite:
            async with self._db.read() as session:
                dead = await workers.list_dead(session, unseen_for=self._dead_after)
        errors: list[Exception] = []
        for executor_id in (self._executor_id, *dead):
            try:
                await (self._resume_lost() if executor_id == self._executor_id else self._recover(executor_id))
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
        if errors:
            raise ExceptionGroup("work was not recovered", errors)

    async def prune(self) -> None:
        """Delete the engine's records of work that ended a day ago."""
        await asyncio.to_thread(_prune, datetime.now(UTC) - RETENTION)

    async def _beat(self) -> None:
        async with self._db.transaction() as session:
            await workers.record_heartbeat(session, self._executor_id)

    async def _resume_lost(self) -> None:
        """Resume work that this process took and never started, because the database went down in between."""
        dequeued = await asyncio.to_thread(_list_pending, self._executor_id, datetime.now(UTC) - LOST_AFTER)
        lost = [workflow for workflow in dequeued if workflow.workflow_id not in self._running_ids]
        if await asyncio.to_thread(_resume, lost):
            log.warning("lost work resumed", count=len(lost))

    async def _recover(self, executor_id: str) -> None:
        count = await asyncio.to_thread(lambda: _resume(_list_pending(executor_id)))
        async with self._db.transaction() as session:
            await workers.remove(
                session, executor_id
            )  # last: after a crash in between, another worker recovers it again
        log.warning("work of a dead worker resumed", executor_id=executor_id, count=count)

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
        for name, handler in (
            (FAN_OUT, self._handlers.fan_out),
            (SYNC, self._handlers.sync),
            (SCHEDULED, self._handlers.scheduled),
        ):
            workflow = self._build_workflow(loop, name, handler)
            DBOS.workflow(name=name, max_recovery_attempts=MAX_RECOVERIES)(workflow)

    def _launch(self) -> None:
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=self._concurrency, polling_interval_sec=POLL_SECONDS)

    def _build_workflow(
        self, loop: asyncio.AbstractEventLoop, name: str, handler: Handler
    ) -> Callable[[str, str], None]:
        """Return the bridge from the engine's thread to the handler on the event loop."""

        def run(viewer_id: str, subject_id: str) -> None:
            work_id = str(DBOS.workflow_id)
            self._running_ids.add(work_id)
            try:
                work = _retry_while_unavailable(handler, viewer_id, subject_id)
                future: Future[Any] = asyncio.run_coroutine_threadsafe(work, loop)
                future.result()
            finally:
                self._running_ids.discard(work_id)

        run.__name__ = run.__qualname__ = name
        return run


async def _retry_while_unavailable(handler: Handler, viewer_id: str, subject_id: str) -> None:
    has_logged = False
    while True:
        try:
            return await handler(viewer_id, subject_id)
        except ServiceUnavailable:
            if not has_logged:
                log.warning("work waits for the database", subject=subject_id)
            has_logged = True
        await asyncio.sleep(RETRY_SECONDS)


def _list_pending(executor_id: str, dequeued_before: datetime | None = None) -> list[WorkflowStatus]:
    before = None if dequeued_before is None else dequeued_before.isoformat()
    return DBOS.list_workflows(
        status="PENDING", executor_id=executor_id, dequeued_before=before, load_input=False, load_output=False
    )


def _resume(workflows: list[WorkflowStatus]) -> int:
    """Put workflows back into the queue; return how many."""
    if workflows:
        DBOS.resume_workflows([workflow.workflow_id for workflow in workflows], queue_name=QUEUE)
    return len(workflows)


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
