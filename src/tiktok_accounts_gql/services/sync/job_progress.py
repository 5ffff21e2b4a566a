"""How far a job is: its counters, its state that follows from them, and who is told of it."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import sync_jobs
from tiktok_accounts_gql.db.database import Session
from tiktok_accounts_gql.db.models import AuditAction, AuditActor, JobState, SyncJob, SyncOutcome
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.db.unit_of_work import FlushStep, defer
from tiktok_accounts_gql.events import JobChanged
from tiktok_accounts_gql.services.audit import JOB_DETAIL, AuditService, Detail
from tiktok_accounts_gql.services.viewer import Viewer


class JobProgress:
    """Counts, ends and tells, always in the transaction of what happened."""

    def __init__(self, *, audit: AuditService, notifications: Notifications, clock: Clock) -> None:
        self._audit = audit
        self._notifications = notifications
        self._clock = clock

    def count(self, session: Session, viewer: Viewer, job_id: UUID, outcome: SyncOutcome) -> None:
        """One more of the job's accounts has come to its end: all that the transaction ends are counted at once."""
        defer(session, FlushStep.JOB_COUNTS, self._count_all, [(job_id, viewer.id, outcome)])

    async def _count_all(self, session: Session, ended: Sequence[tuple[UUID, str, SyncOutcome]]) -> None:
        jobs: dict[tuple[UUID, str], list[SyncOutcome]] = {}
        for job_id, viewer_id, outcome in sorted(ended):  # as everybody locks them
            jobs.setdefault((job_id, viewer_id), []).append(outcome)
        for (job_id, viewer_id), outcomes in jobs.items():
            await self._count(session, viewer_id, job_id, outcomes)

    async def _count(self, session: Session, viewer_id: str, job_id: UUID, ended: Sequence[SyncOutcome]) -> None:
        job = await sync_jobs.add_counts(session, viewer_id, job_id, Counter(ended))
        self.publish(session, job)
        await self.finished_if_done(session, job)

    async def finished_if_done(self, session: Session, job: SyncJob) -> SyncJob:
        """The job as it is then."""
        if job.pending_count:
            return job
        system = Viewer(id=job.viewer_id, actor=AuditActor.SYSTEM, request_id=job.request_id)
        finished: sync_jobs.JobUpdate = {"state": state_of_finished(job), "finished_at": self._clock()}
        job = await sync_jobs.change(session, job.viewer_id, job.id, **finished)
        self.record(session, system, AuditAction.SYNC_JOB_FINISHED, job)
        return job

    def publish(self, session: Session, job: SyncJob) -> None:
        self._notifications.publish(session, job.viewer_id, JobChanged(job_id=job.id))

    def record(self, session: Session, viewer: Viewer, action: AuditAction, job: SyncJob) -> None:
        counts = {
            "total": job.total_count,
            "succeeded": job.succeeded_count,
            "failed": job.failed_count,
            "canceled": job.canceled_count,
        }
        details = [Detail(name=JOB_DETAIL, value=job.id), *(Detail(name=name, value=n) for name, n in counts.items())]
        self._audit.record(session, viewer, action, details=details)

    def record_repetition(self, session: Session, viewer: Viewer, operation: str, job: SyncJob) -> None:
        """Of a mutation that an earlier call had done."""
        self._audit.record_repetition(session, viewer, operation, details=[Detail(name=JOB_DETAIL, value=job.id)])


def state_of_finished(job: SyncJob) -> JobState:
    """The state of a job without pending accounts, by its counts.

    | succeeded | failed | canceled | state |
    |---|---|---|---|
    | 0 | 0 | 0 | SUCCEEDED: nothing was to be done |
    | any | any | 1 or more, and `cancelSyncJob` was called | CANCELED |
    | 0 | 0 | 1 or more | CANCELED: all were disconnected meanwhile |
    | 1 or more | 0 | any | SUCCEEDED |
    | 1 or more | 1 or more | any | PARTIALLY_FAILED |
    | 0 | 1 or more | any | FAILED |

    A cancellation that came too late to cancel anything leaves no trace in the state.
    """
    if job.canceled_count and (job.state is JobState.CANCELING or job.canceled_count == job.total_count):
        return JobState.CANCELED
    if not job.failed_count:
        return JobState.SUCCEEDED
    return JobState.PARTIALLY_FAILED if job.succeeded_count else JobState.FAILED
