"""Runs sync jobs in a worker: each account once, whatever crashes in between.

An account's outcome, its result and the job's counters are one transaction, which fails if the result has ended already: work
that runs a second time finds that it is done. Failures that pass are tried again, five times at most; those that the user has
to fix are not.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, sync_jobs
from tiktok_accounts_gql.db.batch_writer import BatchWriter
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import JobState, SyncJob, SyncOutcome, SyncResult
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.db.unit_of_work import FlushStep, defer
from tiktok_accounts_gql.errors import NotFound, OperationError, ServiceUnavailable, SyncFailed
from tiktok_accounts_gql.jobs.queue import JobQueue
from tiktok_accounts_gql.services.sync.job_progress import JobProgress
from tiktok_accounts_gql.services.sync.outcomes import BackgroundSync, SyncedAccount
from tiktok_accounts_gql.services.sync.retries import MAX_ATTEMPTS, retry_deferred_in, retry_in
from tiktok_accounts_gql.services.sync.service import SyncService
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import CallDeferred

ENQUEUE_BATCH = 200
START_DELAY = timedelta(milliseconds=20)

log = structlog.get_logger()


class AlreadyEnded(Exception):
    """Another process has ended this result: the transaction is undone."""


class _ResultEnd(NamedTuple):
    """How a result ends. Results that end in the same way are written by one statement."""

    viewer_id: str
    outcome: SyncOutcome
    code: str | None
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _JobSync(BackgroundSync):
    """A sync for a job: its result is written with the outcome."""

    runner: "JobRunner"
    viewer: Viewer
    result: SyncResult

    async def write(self, session: Session, synced: SyncedAccount) -> None:
        await self.runner.write_result(session, self.viewer, self.result, synced.error)


class JobRunner:
    """The work of a job's two kinds of queue entries: `fan_out` and `sync_result`."""

    def __init__(
        self,
        *,
        db: Database,
        queue: JobQueue,
        syncing: SyncService,
        progress: JobProgress,
        clock: Clock,
        batch_size: int,
    ) -> None:
        """`batch_size`: how many accounts a worker syncs at the same time."""
        self._db = db
        self._starts = BatchWriter(db, sync_jobs.begin_results, max_delay=START_DELAY, max_size=batch_size)
        self._queue = queue
        self._syncing = syncing
        self._progress = progress
        self._clock = clock

    async def fan_out(self, viewer_id: str, job_id: str) -> None:
        """Enqueue the accounts of a job; those that are enqueued already stay as they are."""
        async with self._db.read() as session:
            pending = await sync_jobs.list_pending(session, viewer_id, UUID(job_id))
        for start in range(0, len(pending), ENQUEUE_BATCH):
            async with self._db.transaction() as session:
                for result in pending[start : start + ENQUEUE_BATCH]:
                    await self._queue.enqueue_sync(session, viewer_id, result.id, priority=result.turn)

    async def sync_result(self, viewer_id: str, result_id: str) -> None:
        """Make one attempt to sync one account of a job. A result that has ended is left as it is.

        While TikTok is down the work keeps its place in the worker and starts again afterwards: if all accounts of a job
        took turns in finding out, they would keep the database busy.
        """
        viewer = Viewer(id=viewer_id)
        while result := await self._starts.run(result_id, (viewer.id, UUID(result_id))):
            job = await self._get_started_job(viewer, result.job_id)
            if job.state is JobState.CANCELING:
                await self._end_now(viewer, result, SyncOutcome.CANCELED)
                return
            try:
                await self._sync(replace(viewer, request_id=job.request_id), job, result)
            except CallDeferred as error:
                if not await self._defer(viewer, result, error):
                    return
            else:
                return

    async def write_result(
        self, session: Session, viewer: Viewer, result: SyncResult, error: OperationError | None
    ) -> None:
        """Write the result of an attempt, or enqueue the next attempt, in the transaction of the outcome."""
        if error is None:
            self._end(session, viewer, result, SyncOutcome.SUCCEEDED)
        elif error.is_transient and result.attempts < MAX_ATTEMPTS:
            await self._retry(session, viewer, result, error)
        else:
            self._end(session, viewer, result, SyncOutcome.FAILED, error)

    async def _get_started_job(self, viewer: Viewer, job_id: UUID) -> SyncJob:
        """Return the job, marked as started.

        In a transaction apart from the result's: whatever locks both locks the job first, such as a cancellation.
        """
        async with self._db.read() as session:
            job = await sync_jobs.get(session, viewer.id, job_id)
        if job.started_at is None:
            async with self._db.transaction() as session:
                is_first = await sync_jobs.mark_started(session, viewer.id, job_id, self._clock())
                job = await sync_jobs.get(session, viewer.id, job_id)
                if is_first:
                    self._progress.publish(session, job)
        return job

    async def _sync(self, viewer: Viewer, job: SyncJob, result: SyncResult) -> None:
        background = _JobSync(requested_at=job.created_at, runner=self, viewer=viewer, result=result)
        try:
            await self._syncing.sync(viewer, result.account_id, background)
        except AlreadyEnded:
            return
        except NotFound as error:
            async with self._db.read() as session:
                was_connected = await accounts.was_ever_connected(session, viewer.id, result.account_id)
            # Disconnected since the job was started, or never the viewer's.
            await self._end_now(viewer, result, SyncOutcome.CANCELED if was_connected else SyncOutcome.FAILED, error)
        except (CallDeferred, ServiceUnavailable):
            raise  # it is tried again
        except Exception:
            log.exception("unexpected error", result_id=str(result.id))
            await self._end_now(viewer, result, SyncOutcome.FAILED, SyncFailed())

    async def _retry(self, session: Session, viewer: Viewer, result: SyncResult, error: OperationError) -> None:
        """Enqueue the next attempt, unless the job was canceled meanwhile."""
        job = await sync_jobs.get(session, viewer.id, result.job_id, lock=True)
        if job.state is JobState.CANCELING:
            self._end(session, viewer, result, SyncOutcome.CANCELED)
            return
        values: sync_jobs.ResultUpdate = {
            "error_code": error.code.value,
            "error_message": error.message,
            "finished_at": self._clock(),
        }
        if not await sync_jobs.pause_result(session, viewer.id, result.id, **values):
            raise AlreadyEnded
        await self._enqueue_again(session, viewer, result, retry_in(result.attempts, error))

    async def _defer(self, viewer: Viewer, result: SyncResult, error: CallDeferred) -> bool:
        """Wait until the call may be made; False if the result has ended, or another process goes on.

        No request was sent, so this does not count as an attempt.
        """
        async with self._db.transaction() as session:
            is_paused = await sync_jobs.pause_result(session, viewer.id, result.id, attempts=result.attempts - 1)
        if not is_paused or await self._syncing.sleep_until_retry(error):
            return is_paused
        async with self._db.transaction() as session:
            await self._enqueue_again(session, viewer, result, retry_deferred_in(error))
        return False

    async def _enqueue_again(self, session: Session, viewer: Viewer, result: SyncResult, delay: timedelta) -> None:
        await self._queue.enqueue_sync(
            session, viewer.id, result.id, priority=result.turn, delay=delay, occasion=uuid7().hex
        )

    @retry_on_deadlock
    async def _end_now(
        self, viewer: Viewer, result: SyncResult, outcome: SyncOutcome, error: OperationError | None = None
    ) -> None:
        with suppress(AlreadyEnded):
            async with self._db.transaction() as session:
                self._end(session, viewer, result, outcome, error)

    def _end(
        self,
        session: Session,
        viewer: Viewer,
        result: SyncResult,
        outcome: SyncOutcome,
        error: OperationError | None = None,
    ) -> None:
        """End the result at the end of the transaction, together with others that end in the same way."""
        code = message = None
        if outcome is SyncOutcome.FAILED and error is not None:
            code, message = error.code.value, error.message
        defer(session, FlushStep.SYNC_RESULTS, self._end_all, [(_ResultEnd(viewer.id, outcome, code, message), result)])

    async def _end_all(self, session: Session, ends: Sequence[tuple[_ResultEnd, SyncResult]]) -> None:
        """Write the ends of results. Raises AlreadyEnded, so that nothing in the transaction happens twice."""
        results_by_end: dict[_ResultEnd, list[SyncResult]] = defaultdict(list)
        for end, result in ends:
            results_by_end[end].append(result)
        for end, results in results_by_end.items():
            values: sync_jobs.ResultUpdate = {
                "error_code": end.code,
                "error_message": end.message,
                "finished_at": self._clock(),
            }
            ids = [result.id for result in results]
            if not await sync_jobs.end_results(session, end.viewer_id, ids, end.outcome, **values):
                raise AlreadyEnded
            for result in results:
                self._progress.count(session, end.viewer_id, result.job_id, end.outcome)
