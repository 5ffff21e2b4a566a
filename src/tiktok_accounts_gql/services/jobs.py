"""Sync jobs: many accounts read in the background.

A job, its results and its work are one transaction: nothing is begun that nobody works on.

Viewers take turns: each has one account in a turn, however many jobs they are in.
"""

from dataclasses import dataclass
from uuid import UUID

from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import job_starts, sync_jobs
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.db.again import again_if_undone
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import AuditAction, JobState, SyncJob
from tiktok_accounts_gql.errors import InvalidInput, JobFinished, LimitReached, NotFound, TooManyIds
from tiktok_accounts_gql.jobs.queue import JobQueue
from tiktok_accounts_gql.services.idempotency import Call, IdempotencyService
from tiktok_accounts_gql.services.sync.job_progress import JobProgress
from tiktok_accounts_gql.services.viewer import Viewer

MAX_IDS = 500
MAX_ACCOUNTS = 10_000  # of a job, and of all jobs of a viewer that are pending
MAX_UNFINISHED = 10
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
        """Raises InvalidInput, TooManyIds, NotFound, IdempotencyKeyReused, LimitReached."""
        _check(target)
        job_id = uuid7()
        call = Call(operation="syncAccounts", input=target.described(), answer=str(job_id))
        async with self._db.transaction() as session:
            earlier = await self._idempotency.earlier_answer(session, viewer, idempotency_key, call)
            if earlier is not None:
                job = await sync_jobs.get(session, viewer.id, UUID(earlier))
                self._progress.record_repetition(session, viewer, call.operation, job)
                return JobAnswer(job=job)
            return JobAnswer(job=await self._add(session, viewer, job_id, target))

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

    async def _add(self, session: Session, viewer: Viewer, job_id: UUID, target: Target) -> SyncJob:
        """What is nobody's is settled here: it would wait in the queue for nothing."""
        load = await job_starts.lock_starts(session, viewer.id)
        if load.jobs >= MAX_UNFINISHED:
            raise LimitReached(f"{MAX_UNFINISHED} of your jobs have not ended. Wait, or cancel one.")
        now = self._clock()
        job = SyncJob(id=job_id, viewer_id=viewer.id, total_count=0, created_at=now, request_id=viewer.request_id)
        await job_starts.add_job(session, job)
        total = await self._add_results(session, job, target, MAX_ACCOUNTS - load.results)
        said = {"code": NotFound.code.value, "message": NotFound.message}
        failed = await job_starts.fail_unknown(session, job, now=now, **said) if total else 0
        job = await sync_jobs.change(session, viewer.id, job_id, total_count=total, failed_count=failed)
        self._progress.record(session, viewer, AuditAction.SYNC_JOB_STARTED, job)
        if not job.pending_count:
            return await self._progress.finished_if_done(session, job)
        await self._queue.enqueue_fan_out(session, viewer.id, job_id)
        return job

    async def _add_results(self, session: Session, job: SyncJob, target: Target, room: int) -> int:
        """How many. Raises NotFound, TooManyIds, LimitReached."""
        if target.ids is not None:
            ids = list(dict.fromkeys(target.ids))
            _check_room(len(ids), room)
            return await job_starts.add_named(session, job, ids)
        if target.failed_in is not None:
            await sync_jobs.get(session, job.viewer_id, target.failed_in)
            chosen = job_starts.failed_in(job.viewer_id, target.failed_in)
        else:
            chosen = job_starts.connected(job.viewer_id, target.where or AccountFilter())
        _check_room(await job_starts.count(session, chosen, most=MAX_ACCOUNTS), room)
        return await job_starts.add_chosen(session, job, chosen, most=room)


def _check_room(count: int, room: int) -> None:
    if count > MAX_ACCOUNTS:
        raise TooManyIds(f"A job has {MAX_ACCOUNTS:,} accounts at most. Choose fewer.", field=("input", "target"))
    if count > room:
        raise LimitReached(f"{MAX_ACCOUNTS - room:,} accounts of your jobs wait already: {room:,} more are allowed.")


def _check(target: Target) -> None:
    if target.ids is None:
        return
    if not target.ids:
        raise InvalidInput(f"`ids` has 1 to {MAX_IDS} ids.", field=("input", "target", "ids"))
    if len(target.ids) > MAX_IDS:
        raise TooManyIds(f"More ids than allowed: {MAX_IDS} at most.", field=("input", "target", "ids"))
