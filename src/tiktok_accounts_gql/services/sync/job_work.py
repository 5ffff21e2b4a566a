"""The work of sync jobs: each account once, whatever dies in between.

An account's reading, its result and the job's counters are one transaction, which a result that has ended refuses: work
that runs a second time finds that it is done. Failures that pass are tried again, five times at most; what the user must
mend is not.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, sync_jobs
from tiktok_accounts_gql.db.again import again_if_undone
from tiktok_accounts_gql.db.closing import at_end
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.grouped import Grouped
from tiktok_accounts_gql.db.models import JobState, SyncJob, SyncOutcome, SyncResult
from tiktok_accounts_gql.errors import NotFound, OperationError, ServiceUnavailable, SyncFailed
from tiktok_accounts_gql.jobs.queue import JobQueue
from tiktok_accounts_gql.services.sync.endings import Background, Synced
from tiktok_accounts_gql.services.sync.job_progress import JobProgress
from tiktok_accounts_gql.services.sync.retries import MAX_ATTEMPTS, retry_in, wait_for_tiktok
from tiktok_accounts_gql.services.sync.syncing import SyncService
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import NotAsked

ENQUEUED_AT_ONCE = 200
BEGUN_TOGETHER = timedelta(milliseconds=20)

log = structlog.get_logger()


class AlreadyEnded(Exception):
    """Somebody else has ended this result: what was done beside it is undone."""


class _End(NamedTuple):
    """How a result ends."""

    viewer_id: str
    outcome: SyncOutcome
    code: str | None
    message: str | None


class JobWork:
    """What a worker does for a job."""

    def __init__(
        self, *, db: Database, queue: JobQueue, syncing: SyncService, progress: JobProgress, clock: Clock, at_once: int
    ) -> None:
        """`at_once`: how many accounts a worker reads at the same time."""
        self._db = db
        self._beginnings = Grouped(db, sync_jobs.begin, moment=BEGUN_TOGETHER, most=at_once)
        self._queue = queue
        self._syncing = syncing
        self._progress = progress
        self._clock = clock

    async def fan_out(self, viewer_id: str, job_id: str) -> None:
        """Enqueues the accounts of a job; those that are enqueued already stay as they are."""
        async with self._db.read() as session:
            pending = await sync_jobs.list_pending(session, viewer_id, UUID(job_id))
        for start in range(0, len(pending), ENQUEUED_AT_ONCE):
            async with self._db.transaction() as session:
                for result in pending[start : start + ENQUEUED_AT_ONCE]:
                    await self._queue.enqueue_sync(session, viewer_id, result.id, turn=result.turn)

    async def perform(self, viewer_id: str, result_id: str) -> None:
        """One attempt for one account of a job. Work that is done already does nothing.

        While TikTok is down it keeps its place among what is worked on, and begins anew then: if all of a batch took turns
        in finding out, they would keep the database busy.
        """
        viewer = Viewer(id=viewer_id)
        while result := await self._beginnings.run(result_id, (viewer.id, UUID(result_id))):
            job = await self._started(viewer, result.job_id)
            if job.state is JobState.CANCELING:
                await self._end_alone(viewer, result, SyncOutcome.CANCELED)
                return
            try:
                await self._attempt(replace(viewer, request_id=job.request_id), job, result)
            except NotAsked as error:
                if not await self._wait_for_tiktok(viewer, result, error):
                    return
            else:
                return

    async def _started(self, viewer: Viewer, job_id: UUID) -> SyncJob:
        """Apart from the result: whoever locks both locks the job first, such as a cancellation."""
        async with self._db.read() as session:
            job = await sync_jobs.get(session, viewer.id, job_id)
        if job.started_at is None:
            async with self._db.transaction() as session:
                started = await sync_jobs.mark_started(session, viewer.id, job_id, self._clock())
                job = await sync_jobs.get(session, viewer.id, job_id)
                if started:
                    self._progress.publish(session, job)
        return job

    async def _attempt(self, viewer: Viewer, job: SyncJob, result: SyncResult) -> None:
        async def also(session: Session, synced: Synced) -> None:
            await self._conclude(session, viewer, result, synced.error)

        background = Background(asked_at=job.created_at, also=also)
        try:
            await self._syncing.sync(viewer, result.account_id, background)
        except AlreadyEnded:
            return
        except NotFound as mistake:
            await self._end_alone(viewer, result, await self._outcome_of_missing(viewer, result), mistake)
        except (NotAsked, ServiceUnavailable):
            raise  # it is tried again
        except Exception:
            log.exception("unexpected error", result_id=str(result.id))
            await self._end_alone(viewer, result, SyncOutcome.FAILED, SyncFailed())

    async def _conclude(
        self, session: Session, viewer: Viewer, result: SyncResult, error: OperationError | None
    ) -> None:
        if error is None:
            self._end(session, viewer, result, SyncOutcome.SUCCEEDED)
        elif error.is_transient and result.attempts < MAX_ATTEMPTS:
            await self._again(session, viewer, result, error)
        else:
            self._end(session, viewer, result, SyncOutcome.FAILED, error)

    async def _again(self, session: Session, viewer: Viewer, result: SyncResult, error: OperationError) -> None:
        """Later, unless the job was canceled meanwhile."""
        job = await sync_jobs.get(session, viewer.id, result.job_id, lock=True)
        if job.state is JobState.CANCELING:
            self._end(session, viewer, result, SyncOutcome.CANCELED)
            return
        values = {"error_code": error.code.value, "error_message": error.message, "finished_at": self._clock()}
        if not await sync_jobs.pause(session, viewer.id, result.id, **values):
            raise AlreadyEnded
        await self._enqueue_again(session, viewer, result, retry_in(result.attempts, error))

    async def _enqueue_again(self, session: Session, viewer: Viewer, result: SyncResult, delay: timedelta) -> None:
        await self._queue.enqueue_sync(
            session, viewer.id, result.id, turn=result.turn, delay=delay, occasion=uuid7().hex
        )

    async def _wait_for_tiktok(self, viewer: Viewer, result: SyncResult, error: NotAsked) -> bool:
        """TikTok was not asked: that is no attempt. False if there is nothing to go on with here."""
        async with self._db.transaction() as session:
            paused = await sync_jobs.pause(session, viewer.id, result.id, attempts=result.attempts - 1)
        if not paused or await self._syncing.wait_for_tiktok(error):
            return paused
        async with self._db.transaction() as session:
            await self._enqueue_again(session, viewer, result, wait_for_tiktok(error))
        return False

    async def _outcome_of_missing(self, viewer: Viewer, result: SyncResult) -> SyncOutcome:
        """Disconnected since the job was asked for, or never the viewer's."""
        async with self._db.read() as session:
            was = await accounts.was_connected(session, viewer.id, result.account_id)
        return SyncOutcome.CANCELED if was else SyncOutcome.FAILED

    @again_if_undone
    async def _end_alone(
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
        """At the end of the session's transaction, with others that end alike."""
        said = error if outcome is SyncOutcome.FAILED else None
        why = (said.code.value, said.message) if said else (None, None)
        at_end(session, self._end_all, [(_End(viewer.id, outcome, *why), result)])

    async def _end_all(self, session: Session, ended: Sequence[tuple[_End, SyncResult]]) -> None:
        """Raises AlreadyEnded, so that nothing of the transaction happens twice."""
        alike: dict[_End, list[SyncResult]] = {}
        for end, result in ended:
            alike.setdefault(end, []).append(result)
        for end, results in alike.items():
            values = {"error_code": end.code, "error_message": end.message, "finished_at": self._clock()}
            ids = [result.id for result in results]
            if not await sync_jobs.end(session, end.viewer_id, ids, end.outcome, **values):
                raise AlreadyEnded
            for result in results:
                self._progress.count(session, Viewer(id=end.viewer_id), result.job_id, end.outcome)
