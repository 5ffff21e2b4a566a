"""Sync jobs: many accounts read in the background.

A job, its results and its work are one transaction: nothing is begun that nobody works on.

Viewers take turns: each has one account in a turn, however many jobs they are in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, sync_jobs
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.db.again import again_if_undone
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import AuditAction, JobState, SyncJob
from tiktok_accounts_gql.errors import InvalidInput, JobFinished, TooManyIds
from tiktok_accounts_gql.jobs.queue import JobQueue
from tiktok_accounts_gql.services.idempotency import Call, IdempotencyService
from tiktok_accounts_gql.services.job_progress import JobProgress
from tiktok_accounts_gql.services.viewer import Viewer

MAX_IDS = 500
FINISHED = frozenset({JobState.SUCCEEDED, JobState.PARTIALLY_FAILED, JobState.FAILED, JobState.CANCELED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which accounts: exactly one of these."""

    ids: tuple[UUID, ...] | None = None
    where: AccountFilter | None = None
    failed_in: UUID | None = None

    def described(self) -> str:
        """For the comparison of repeated calls."""
        return repr((self.ids, self.where, self.failed_in))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAnswer:
    job: SyncJob


class JobService:
    """Begins and cancels jobs."""

    def __init__(
        self,
        *,
        db: Database,
        queue: JobQueue,
        progress: JobProgress,
        idempotency: IdempotencyService,
        clock: Clock,
    ) -> None:
        self._db = db
        self._queue = queue
        self._progress = progress
        self._idempotency = idempotency
        self._clock = clock

    @again_if_undone
    async def start(self, viewer: Viewer, target: Target, idempotency_key: str | None) -> JobAnswer:
        """Raises InvalidInput, TooManyIds, NotFound, IdempotencyKeyReused."""
        _check(target)
        job_id = uuid7()
        call = Call(operation="syncAccounts", input=target.described(), answer=str(job_id))
        async with self._db.transaction() as session:
            earlier = await self._idempotency.earlier_answer(session, viewer, idempotency_key, call)
            if earlier is not None:
                job = await sync_jobs.get(session, viewer.id, UUID(earlier))
                self._progress.record_repetition(session, viewer, call.operation, job)
                return JobAnswer(job=job)
            targets = await self._targets(session, viewer, target)
            return JobAnswer(job=await self._add(session, viewer, job_id, targets))

    @again_if_undone
    async def cancel(self, viewer: Viewer, job_id: UUID) -> JobAnswer:
        """What is being read at this moment is finished first. Raises NotFound, JobFinished."""
        now = self._clock()
        async with self._db.transaction() as session:
            job = await sync_jobs.get(session, viewer.id, job_id, lock=True)
            if job.state in (JobState.CANCELING, JobState.CANCELED):
                self._progress.record_repetition(session, viewer, "cancelSyncJob", job)
                return JobAnswer(job=job)
            if job.state in FINISHED:
                raise JobFinished
            canceled = await sync_jobs.cancel_waiting(session, viewer.id, job_id, now)
            counts = {"state": JobState.CANCELING, "canceled_count": job.canceled_count + canceled}
            job = await sync_jobs.change(session, viewer.id, job_id, **counts)
            self._progress.publish(session, job)
            self._progress.record(session, viewer, AuditAction.SYNC_JOB_CANCELED, job)
            return JobAnswer(job=await self._progress.finished_if_done(session, job))

    async def _targets(self, session: Session, viewer: Viewer, target: Target) -> Sequence[UUID]:
        if target.ids is not None:
            return list(dict.fromkeys(target.ids))
        if target.failed_in is not None:
            await sync_jobs.get(session, viewer.id, target.failed_in)
            return await sync_jobs.list_failed(session, viewer.id, target.failed_in)
        return await accounts.list_ids(session, viewer.id, target.where or AccountFilter())

    async def _add(self, session: Session, viewer: Viewer, job_id: UUID, targets: Sequence[UUID]) -> SyncJob:
        job = SyncJob(
            id=job_id,
            viewer_id=viewer.id,
            total_count=len(targets),
            created_at=self._clock(),
            request_id=viewer.request_id,
        )
        await sync_jobs.add(session, job, targets)
        self._progress.record(session, viewer, AuditAction.SYNC_JOB_STARTED, job)
        if not targets:
            return await self._progress.finished_if_done(session, job)
        await self._queue.enqueue_fan_out(session, viewer.id, job_id)
        return job


def _check(target: Target) -> None:
    if target.ids is None:
        return
    if not target.ids:
        raise InvalidInput("`ids` has 1 to 500 ids.", field=("input", "target", "ids"))
    if len(target.ids) > MAX_IDS:
        raise TooManyIds(field=("input", "target", "ids"))
