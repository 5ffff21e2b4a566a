"""Sync jobs: many accounts read in the background, each once, whatever dies in between.

A job, its results and its work are one transaction. An account's reading, its result and the job's counters are another
one, which a result that has ended refuses: work that runs a second time finds that it is done. Failures that pass are tried
again, five times at most; what the user must mend is not.

Viewers take turns: each has one account in a turn, however many jobs they are in.
"""

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, sync_jobs
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import AuditAction, AuditActor, JobState, SyncJob, SyncOutcome, SyncResult
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.errors import (
    InvalidInput,
    JobFinished,
    NotFound,
    ServiceUnavailable,
    SyncFailed,
    TooManyIds,
    UserErrorCode,
    UserMistake,
)
from tiktok_accounts_gql.events import JobChanged
from tiktok_accounts_gql.jobs.queue import JobQueue
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.idempotency import Call, IdempotencyService
from tiktok_accounts_gql.services.syncing import Background, Synced, SyncService
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import NotAsked

MAX_IDS = 500
MAX_ATTEMPTS = 5
FIRST_RETRY = timedelta(seconds=2)
LONGEST_RETRY = timedelta(minutes=5)
ENQUEUED_AT_ONCE = 200
PASSING = frozenset({UserErrorCode.TIKTOK_RATE_LIMITED, UserErrorCode.TIKTOK_UNAVAILABLE})

log = structlog.get_logger()
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
    """Begins, works on and cancels jobs."""

    def __init__(
        self,
        *,
        db: Database,
        queue: JobQueue,
        syncing: SyncService,
        audit: AuditService,
        notifications: Notifications,
        idempotency: IdempotencyService,
        clock: Clock,
    ) -> None:
        self._db = db
        self._notifications = notifications
        self._queue = queue
        self._syncing = syncing
        self._audit = audit
        self._idempotency = idempotency
        self._clock = clock

    async def start(self, viewer: Viewer, target: Target, idempotency_key: str | None) -> JobAnswer:
        """Raises InvalidInput, TooManyIds, NotFound, IdempotencyKeyReused."""
        _check(target)
        job_id = uuid7()
        call = Call(operation="syncAccounts", input=target.described(), answer=str(job_id))
        async with self._db.transaction() as session:
            earlier = await self._idempotency.earlier_answer(session, viewer, idempotency_key, call)
            if earlier is not None:
                return JobAnswer(job=await sync_jobs.get(session, viewer.id, UUID(earlier)))
            targets = await self._targets(session, viewer, target)
            return JobAnswer(job=await self._add(session, viewer, job_id, targets))

    async def cancel(self, viewer: Viewer, job_id: UUID) -> JobAnswer:
        """What is being read at this moment is finished first. Raises NotFound, JobFinished."""
        now = self._clock()
        async with self._db.transaction() as session:
            job = await sync_jobs.get(session, viewer.id, job_id, lock=True)
            if job.state in (JobState.CANCELING, JobState.CANCELED):
                return JobAnswer(job=job)
            if job.state in FINISHED:
                raise JobFinished
            canceled = await sync_jobs.cancel_waiting(session, viewer.id, job_id, now)
            counts = {"state": JobState.CANCELING, "canceled_count": job.canceled_count + canceled}
            job = await sync_jobs.change(session, viewer.id, job_id, **counts)
            await self._publish(session, job)
            await self._record(session, viewer, AuditAction.SYNC_JOB_CANCELED, job)
            return JobAnswer(job=await self._finished_if_done(session, viewer, job))

    async def fan_out(self, viewer_id: str, job_id: str) -> None:
        """Enqueues the accounts of a job; those that are enqueued already stay as they are."""
        async with self._db.read() as session:
            pending = await sync_jobs.list_pending(session, viewer_id, UUID(job_id))
        for start in range(0, len(pending), ENQUEUED_AT_ONCE):
            async with self._db.transaction() as session:
                for result in pending[start : start + ENQUEUED_AT_ONCE]:
                    await self._queue.enqueue_sync(session, viewer_id, result.id, turn=result.turn)

    async def perform(self, viewer_id: str, result_id: str) -> None:
        """One attempt for one account of a job. Work that is done already does nothing."""
        viewer = Viewer(id=viewer_id)
        async with self._db.transaction() as session:
            result = await sync_jobs.begin(session, viewer.id, UUID(result_id))
        if result is None:
            return
        job = await self._started(viewer, result.job_id)
        if job.state is JobState.CANCELING:
            await self._end_alone(viewer, result, SyncOutcome.CANCELED)
            return
        await self._attempt(viewer, job, result)

    async def _started(self, viewer: Viewer, job_id: UUID) -> SyncJob:
        """Apart from the result: whoever locks both locks the job first, such as a cancellation."""
        async with self._db.read() as session:
            job = await sync_jobs.get(session, viewer.id, job_id)
        if job.started_at is None:
            async with self._db.transaction() as session:
                started = await sync_jobs.mark_started(session, viewer.id, job_id, self._clock())
                job = await sync_jobs.get(session, viewer.id, job_id)
                if started:
                    await self._publish(session, job)
        return job

    async def _attempt(self, viewer: Viewer, job: SyncJob, result: SyncResult) -> None:
        async def also(session: Session, synced: Synced) -> None:
            await self._conclude(session, viewer, result, synced.error)

        background = Background(asked_at=job.created_at, also=also)
        try:
            await self._syncing.sync(viewer, result.account_id, background)
        except AlreadyEnded:
            return
        except NotAsked as error:
            await self._wait_for_tiktok(viewer, result, error)
        except NotFound as mistake:
            await self._end_alone(viewer, result, await self._outcome_of_missing(viewer, result), mistake)
        except ServiceUnavailable:
            raise  # the worker tries again
        except Exception:
            log.exception("unexpected error", result_id=str(result.id))
            await self._end_alone(viewer, result, SyncOutcome.FAILED, SyncFailed())

    async def _conclude(self, session: Session, viewer: Viewer, result: SyncResult, error: UserMistake | None) -> None:
        if error is None:
            await self._end(session, viewer, result, SyncOutcome.SUCCEEDED)
        elif error.code in PASSING and result.attempts < MAX_ATTEMPTS:
            await self._again(session, viewer, result, error)
        else:
            await self._end(session, viewer, result, SyncOutcome.FAILED, error)

    async def _again(self, session: Session, viewer: Viewer, result: SyncResult, error: UserMistake) -> None:
        """Later, unless the job was canceled meanwhile."""
        job = await sync_jobs.get(session, viewer.id, result.job_id, lock=True)
        if job.state is JobState.CANCELING:
            await self._end(session, viewer, result, SyncOutcome.CANCELED)
            return
        values = {"error_code": error.code.value, "error_message": error.message, "finished_at": self._clock()}
        if not await sync_jobs.pause(session, viewer.id, result.id, **values):
            raise AlreadyEnded
        await self._enqueue_again(session, viewer, result, retry_in(result.attempts, error))

    async def _enqueue_again(self, session: Session, viewer: Viewer, result: SyncResult, delay: timedelta) -> None:
        await self._queue.enqueue_sync(
            session, viewer.id, result.id, turn=result.turn, delay=delay, occasion=uuid7().hex
        )

    async def _wait_for_tiktok(self, viewer: Viewer, result: SyncResult, error: NotAsked) -> None:
        """TikTok is down and was not asked: that is no attempt."""
        async with self._db.transaction() as session:
            if await sync_jobs.pause(session, viewer.id, result.id, attempts=result.attempts - 1):
                await self._enqueue_again(session, viewer, result, wait_for_tiktok(error))

    async def _outcome_of_missing(self, viewer: Viewer, result: SyncResult) -> SyncOutcome:
        """Disconnected since the job was asked for, or never the viewer's."""
        async with self._db.read() as session:
            was = await accounts.was_connected(session, viewer.id, result.account_id)
        return SyncOutcome.CANCELED if was else SyncOutcome.FAILED

    async def _end_alone(
        self, viewer: Viewer, result: SyncResult, outcome: SyncOutcome, error: UserMistake | None = None
    ) -> None:
        with suppress(AlreadyEnded):
            async with self._db.transaction() as session:
                await self._end(session, viewer, result, outcome, error)

    async def _end(
        self,
        session: Session,
        viewer: Viewer,
        result: SyncResult,
        outcome: SyncOutcome,
        error: UserMistake | None = None,
    ) -> None:
        """Raises AlreadyEnded, so that nothing of the transaction happens twice."""
        said = error if outcome is SyncOutcome.FAILED else None
        values = {
            "error_code": said.code.value if said else None,
            "error_message": said.message if said else None,
            "finished_at": self._clock(),
        }
        if not await sync_jobs.end(session, viewer.id, result.id, outcome, **values):
            raise AlreadyEnded
        job = await sync_jobs.get(session, viewer.id, result.job_id, lock=True)
        column = f"{outcome.value.lower()}_count"
        job = await sync_jobs.change(session, viewer.id, job.id, **{column: getattr(job, column) + 1})
        await self._publish(session, job)
        await self._finished_if_done(session, viewer, job)

    async def _finished_if_done(self, session: Session, viewer: Viewer, job: SyncJob) -> SyncJob:
        if job.succeeded_count + job.failed_count + job.canceled_count < job.total_count:
            return job
        system = Viewer(id=viewer.id, actor=AuditActor.SYSTEM)
        finished = {"state": state_of_finished(job), "finished_at": self._clock()}
        job = await sync_jobs.change(session, viewer.id, job.id, **finished)
        await self._record(session, system, AuditAction.SYNC_JOB_FINISHED, job)
        return job

    async def _targets(self, session: Session, viewer: Viewer, target: Target) -> Sequence[UUID]:
        if target.ids is not None:
            return list(dict.fromkeys(target.ids))
        if target.failed_in is not None:
            await sync_jobs.get(session, viewer.id, target.failed_in)
            return await sync_jobs.list_failed(session, viewer.id, target.failed_in)
        return await accounts.list_ids(session, viewer.id, target.where or AccountFilter())

    async def _add(self, session: Session, viewer: Viewer, job_id: UUID, targets: Sequence[UUID]) -> SyncJob:
        job = SyncJob(id=job_id, viewer_id=viewer.id, total_count=len(targets), created_at=self._clock())
        await sync_jobs.add(session, job, targets)
        await self._record(session, viewer, AuditAction.SYNC_JOB_STARTED, job)
        if not targets:
            return await self._finished_if_done(session, viewer, job)
        await self._queue.enqueue_fan_out(session, viewer.id, job_id)
        return job

    async def _publish(self, session: Session, job: SyncJob) -> None:
        await self._notifications.publish(session, job.viewer_id, JobChanged(job_id=job.id))

    async def _record(self, session: Session, viewer: Viewer, action: AuditAction, job: SyncJob) -> None:
        counts = {"total": job.total_count, "succeeded": job.succeeded_count, "failed": job.failed_count}
        details = [Detail(name="syncJobId", value=job.id), *(Detail(name=name, value=n) for name, n in counts.items())]
        await self._audit.record(session, viewer, action, details=details)


class AlreadyEnded(Exception):
    """Somebody else has ended this result: what was done beside it is undone."""


def state_of_finished(job: SyncJob) -> JobState:
    if job.canceled_count and job.state is JobState.CANCELING:
        return JobState.CANCELED
    if not job.failed_count:
        return JobState.SUCCEEDED
    return JobState.PARTIALLY_FAILED if job.succeeded_count else JobState.FAILED


def retry_in(attempts: int, error: UserMistake) -> timedelta:
    """Doubles with each attempt, with equal jitter; TikTok's own word counts if it is longer."""
    jittered = min(FIRST_RETRY * (1 << (attempts - 1)), LONGEST_RETRY) * random.uniform(0.5, 1)  # noqa: S311 - no secret
    told = timedelta(seconds=error.retry_after_seconds or 0) if error.retry_is_told else timedelta(0)
    return max(jittered, told * random.uniform(1, 1.1))  # noqa: S311


def wait_for_tiktok(error: NotAsked) -> timedelta:
    """Not all at once: the first one finds out for the others."""
    return timedelta(seconds=error.retry_after or 1) * random.uniform(1, 2)  # noqa: S311 - no secret


def _check(target: Target) -> None:
    if target.ids is None:
        return
    if not target.ids:
        raise InvalidInput("`ids` has 1 to 500 ids.", field=("input", "target", "ids"))
    if len(target.ids) > MAX_IDS:
        raise TooManyIds(field=("input", "target", "ids"))
