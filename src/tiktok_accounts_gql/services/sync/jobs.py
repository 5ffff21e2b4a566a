"""Sync jobs: many accounts synced in the background.

A job, its results and its queue entry are one transaction: no job exists that no worker will run.

Viewers take turns: each viewer has one account in a round, in however many jobs.
"""

from dataclasses import dataclass
from uuid import UUID

from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import job_creation, sync_jobs
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import AuditAction, JobState, SyncJob
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.errors import InvalidInput, JobFinished, LimitReached, NotFound, TooManyIds
from tiktok_accounts_gql.jobs.queue import JobQueue
from tiktok_accounts_gql.services.idempotency import IdempotencyService, IdempotentCall
from tiktok_accounts_gql.services.sync.job_progress import JobProgress
from tiktok_accounts_gql.services.viewer import Viewer

MAX_IDS = 500
MAX_ACCOUNTS = 10_000  # of a job, and of all jobs of a viewer that are pending
MAX_UNFINISHED = 10
FINISHED = frozenset({JobState.SUCCEEDED, JobState.PARTIALLY_FAILED, JobState.FAILED, JobState.CANCELED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAccounts:
    """The accounts with these ids; doubles count once."""

    ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingAccounts:
    """All connected accounts of the viewer that match a filter when the job is started."""

    filter: AccountFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAccounts:
    """The accounts that failed in an earlier job."""

    job_id: UUID


JobTarget = ListedAccounts | MatchingAccounts | FailedAccounts


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPayload:
    """The answer of a mutation about a job."""

    job: SyncJob


@dataclass(frozen=True, kw_only=True)
class JobService:
    """Starts and cancels jobs."""

    db: Database
    queue: JobQueue
    progress: JobProgress
    idempotency: IdempotencyService
    clock: Clock

    @retry_on_deadlock
    async def start(self, viewer: Viewer, target: JobTarget, idempotency_key: str | None) -> JobPayload:
        """Start a job. Raises InvalidInput, TooManyIds, NotFound, IdempotencyKeyReused, LimitReached."""
        if isinstance(target, ListedAccounts):
            if not target.ids:
                raise InvalidInput(f"`ids` has 1 to {MAX_IDS} ids.", field=("input", "target", "ids"))
            if len(target.ids) > MAX_IDS:
                raise TooManyIds(field=("input", "target", "ids"))
        job_id = uuid7()
        call = IdempotentCall(operation="syncAccounts", input=_describe(target), answer=str(job_id))
        async with self.db.transaction() as session:
            earlier = await self.idempotency.find_earlier_answer(session, viewer, idempotency_key, call)
            if earlier is not None:
                job = await sync_jobs.get(session, viewer.id, UUID(earlier))
                self.progress.record_repetition(session, viewer, call.operation, job)
                return JobPayload(job=job)
            return JobPayload(job=await self._create(session, viewer, job_id, target))

    @retry_on_deadlock
    async def cancel(self, viewer: Viewer, job_id: UUID) -> JobPayload:
        """Cancel a job; accounts whose sync has started are finished first. Raises NotFound, JobFinished."""
        now = self.clock()
        async with self.db.transaction() as session:
            job = await sync_jobs.get(session, viewer.id, job_id, lock=True)
            if job.state in (JobState.CANCELING, JobState.CANCELED):
                self.progress.record_repetition(session, viewer, "cancelSyncJob", job)
                return JobPayload(job=job)
            if job.state in FINISHED:
                raise JobFinished
            canceled_count = job.canceled_count + await sync_jobs.cancel_pending(session, viewer.id, job_id, now)
            job = await sync_jobs.change(
                session, viewer.id, job_id, state=JobState.CANCELING, canceled_count=canceled_count
            )
            self.progress.publish(session, job)
            self.progress.record(session, viewer, AuditAction.SYNC_JOB_CANCELED, job)
            return JobPayload(job=await self.progress.finish_if_done(session, job))

    async def _create(self, session: Session, viewer: Viewer, job_id: UUID, target: JobTarget) -> SyncJob:
        """Create the job, its results and its queue entry. Ids that are not the viewer's fail here, not in a worker."""
        load = await job_creation.lock_viewer_jobs(session, viewer.id)
        if load.jobs >= MAX_UNFINISHED:
            raise LimitReached(f"{MAX_UNFINISHED} of your jobs have not ended. Wait, or cancel one.")
        now = self.clock()
        job = SyncJob(id=job_id, viewer_id=viewer.id, total_count=0, created_at=now, request_id=viewer.request_id)
        await job_creation.add_job(session, job)
        total_count, failed_count = await self._add_results(session, job, target, MAX_ACCOUNTS - load.results), 0
        if total_count:
            code, message = NotFound.code.value, NotFound.message
            failed_count = await job_creation.fail_unknown(session, job, now=now, code=code, message=message)
        job = await sync_jobs.change(session, viewer.id, job_id, total_count=total_count, failed_count=failed_count)
        self.progress.record(session, viewer, AuditAction.SYNC_JOB_STARTED, job)
        if not job.pending_count:
            return await self.progress.finish_if_done(session, job)
        await self.queue.enqueue_fan_out(session, viewer.id, job_id)
        return job

    async def _add_results(self, session: Session, job: SyncJob, target: JobTarget, room: int) -> int:
        """Add a pending result for each account; return how many. Raises NotFound, TooManyIds, LimitReached."""
        match target:
            case ListedAccounts(ids=ids):
                unique_ids = list(dict.fromkeys(ids))
                _check_room(len(unique_ids), room)
                return await job_creation.add_listed(session, job, unique_ids)
            case MatchingAccounts(filter=filter):
                accounts = job_creation.select_connected(job.viewer_id, filter)
            case FailedAccounts(job_id=job_id):
                await sync_jobs.get(session, job.viewer_id, job_id)  # raises NotFound for another viewer's job
                accounts = job_creation.select_failed(job.viewer_id, job_id)
        _check_room(await job_creation.count(session, accounts, limit=MAX_ACCOUNTS), room)
        return await job_creation.add_selected(session, job, accounts, limit=room)


def _describe(target: JobTarget) -> str:
    """Return the text by which a repeated call is compared with the first; stored, so it must not change."""
    match target:
        case ListedAccounts(ids=ids):
            return repr((ids, None, None))
        case MatchingAccounts(filter=filter):
            return repr((None, filter, None))
        case FailedAccounts(job_id=job_id):
            return repr((None, None, job_id))


def _check_room(count: int, room: int) -> None:
    """`room`: how many more accounts the viewer's jobs may have pending."""
    if count > MAX_ACCOUNTS:
        raise TooManyIds(f"A job has {MAX_ACCOUNTS:,} accounts at most. Choose fewer.", field=("input", "target"))
    if count > room:
        raise LimitReached(f"{MAX_ACCOUNTS - room:,} accounts of your jobs wait already: {room:,} more are allowed.")
