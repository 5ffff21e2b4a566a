"""The progress of a job: its counters, the state that follows from them, and the events that tell about it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """Counts results, finishes jobs and publishes their events, always in the caller's transaction."""

    audit: AuditService
    notifications: Notifications
    clock: Clock

    def count(self, session: Session, viewer_id: str, job_id: UUID, outcome: SyncOutcome) -> None:
        """Count one more result that has ended. All results of the transaction are counted at once, at its end."""
        defer(session, FlushStep.JOB_COUNTS, self._count_all, [(job_id, viewer_id, outcome)])

    async def _count_all(self, session: Session, results: Sequence[tuple[UUID, str, SyncOutcome]]) -> None:
        outcomes: dict[tuple[UUID, str], list[SyncOutcome]] = defaultdict(list)
        for job_id, viewer_id, outcome in sorted(results):  # all transactions lock jobs in this order
            outcomes[job_id, viewer_id].append(outcome)
        for (job_id, viewer_id), job_outcomes in outcomes.items():
            job = await sync_jobs.add_counts(session, viewer_id, job_id, Counter(job_outcomes))
            self.publish(session, job)
            await self.finish_if_done(session, job)

    async def finish_if_done(self, session: Session, job: SyncJob) -> SyncJob:
        """Finish the job if none of its accounts is pending; return it as it is then."""
        if job.pending_count:
            return job
        system = Viewer(id=job.viewer_id, actor=AuditActor.SYSTEM, request_id=job.request_id)
        state, now = state_of_finished(job), self.clock()
        job = await sync_jobs.change(session, job.viewer_id, job.id, state=state, finished_at=now)
        self.record(session, system, AuditAction.SYNC_JOB_FINISHED, job)
        return job

    def publish(self, session: Session, job: SyncJob) -> None:
        self.notifications.publish(session, job.viewer_id, JobChanged(job_id=job.id))

    def record(self, session: Session, viewer: Viewer, action: AuditAction, job: SyncJob) -> None:
        """Write an audit event with the job's counters."""
        details = [
            Detail(name=JOB_DETAIL, value=job.id),
            Detail(name="total", value=job.total_count),
            Detail(name="succeeded", value=job.succeeded_count),
            Detail(name="failed", value=job.failed_count),
            Detail(name="canceled", value=job.canceled_count),
        ]
        self.audit.record(session, viewer, action, details=details)

    def record_repetition(self, session: Session, viewer: Viewer, operation: str, job: SyncJob) -> None:
        """Write the audit event of a mutation that an earlier call has done already."""
        self.audit.record_repetition(session, viewer, operation, details=[Detail(name=JOB_DETAIL, value=job.id)])


def state_of_finished(job: SyncJob) -> JobState:
    """Return the state of a job without pending accounts, by its counters.

    | succeeded | failed | canceled | state |
    |---|---|---|---|
    | 0 | 0 | 0 | SUCCEEDED: there was nothing to do |
    | any | any | 1 or more, and `cancelSyncJob` was called | CANCELED |
    | 0 | 0 | 1 or more | CANCELED: all accounts were disconnected meanwhile |
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
