"""Sync jobs and their results, listed and counted."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import result_pages, sync_jobs
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import AuditAction, JobState, SyncJob, SyncResult
from tiktok_accounts_gql.db.sync_jobs import JobFilter, ResultFilter
from tiktok_accounts_gql.pagination import Page, PageRequest
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.paging import Pager, build_page
from tiktok_accounts_gql.services.viewer import Viewer


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage(Page[SyncJob]):
    """A page of jobs. It keeps its filter, so that `totalCount` can be resolved later."""

    filter: JobFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage(Page[SyncResult]):
    """A page of one job's results, with its filter."""

    job_id: UUID
    filter: ResultFilter


@dataclass(frozen=True, kw_only=True)
class JobListService:
    """Lists and finds jobs and results. Reading a job is audited; fields within a job that was read are not.

    `interval`: between two requests to TikTok at the quota's pace.
    """

    db: Database
    audit: AuditService
    pager: Pager
    clock: Clock
    interval: timedelta

    async def list(self, viewer: Viewer, page: PageRequest, filter: JobFilter) -> JobPage:
        """List jobs, newest first. Raises BadUserInput for cursors of another list."""
        jobs = await self.pager.list_page(sync_jobs.select_jobs(viewer.id, filter), sync_jobs.NEWEST_FIRST, page)
        await self._record_read(viewer, len(jobs.edges))
        return JobPage(edges=jobs.edges, page_info=jobs.page_info, filter=filter)

    async def count(self, viewer: Viewer, filter: JobFilter) -> int:
        async with self.db.read() as session:
            return await sync_jobs.count(session, sync_jobs.select_jobs(viewer.id, filter))

    async def read(self, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, SyncJob]:
        """Return the viewer's jobs with these ids, and write the audit event."""
        jobs = await self.find(viewer, ids)
        await self._record_read(viewer, len(jobs))
        return jobs

    async def find(self, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, SyncJob]:
        """Return jobs as `read` does, for a caller that follows a job whose reading was audited when that began."""
        async with self.db.read() as session:
            return {job.id: job for job in await sync_jobs.list_by_ids(session, viewer.id, ids)}

    async def list_results(self, viewer: Viewer, job_id: UUID, page: PageRequest, filter: ResultFilter) -> ResultPage:
        """List a job's results in the order of the request. Raises BadUserInput for cursors of another list."""
        statement = sync_jobs.select_results(viewer.id, job_id, filter)
        results = await self.pager.list_page(statement, sync_jobs.IN_ORDER, page)
        return ResultPage(edges=results.edges, page_info=results.page_info, job_id=job_id, filter=filter)

    async def list_first_results(
        self, viewer: Viewer, job_ids: Sequence[UUID], page: PageRequest, filter: ResultFilter
    ) -> dict[UUID, ResultPage]:
        """List results as `list_results` does, of several jobs by one statement; for a page without cursors."""
        async with self.db.read() as session:
            slices = await result_pages.list_first_pages(
                session, viewer.id, job_ids, filter, size=page.size, backward=page.backward
            )
        pages: dict[UUID, ResultPage] = {}
        for job_id, rows in slices.items():
            results = build_page(sync_jobs.IN_ORDER, rows)
            pages[job_id] = ResultPage(edges=results.edges, page_info=results.page_info, job_id=job_id, filter=filter)
        return pages

    async def count_all_results(self, viewer: Viewer, job_ids: Sequence[UUID], filter: ResultFilter) -> dict[UUID, int]:
        """Count the results of several jobs by one statement."""
        async with self.db.read() as session:
            return await result_pages.count(session, viewer.id, job_ids, filter)

    async def read_results(self, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, SyncResult]:
        """Return the viewer's results with these ids, and write the audit event."""
        async with self.db.read() as session:
            results = await sync_jobs.list_results_by_ids(session, viewer.id, ids)
        await self._record_read(viewer, len(results))
        return {result.id: result for result in results}

    async def estimate_end(self, viewer: Viewer, job: SyncJob) -> datetime | None:
        """Estimate when the job ends, from the quota and the accounts queued before its last one; None if it has ended."""
        if job.finished_at is not None or not job.pending_count:
            return None
        async with self.db.read() as session:
            count = await sync_jobs.count_ahead(session, viewer.id, job.id)
        return self.clock() + self.interval * count

    async def _record_read(self, viewer: Viewer, count: int) -> None:
        await self.audit.record_read(viewer, AuditAction.SYNC_JOBS_READ, Detail(name="count", value=count))


def progress(job: SyncJob) -> float:
    """Return the share of accounts that were synced, from 0 to 1; 1 once the job has ended, unless it was canceled.

    Canceled accounts do not count: a job that is canceled in its middle stays there, and progress never falls.
    """
    has_ended = job.finished_at is not None and job.state is not JobState.CANCELED
    return 1.0 if has_ended or not job.total_count else (job.succeeded_count + job.failed_count) / job.total_count
