"""Reading sync jobs and their results."""

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
from tiktok_accounts_gql.services.paging import Pager, to_page
from tiktok_accounts_gql.services.viewer import Viewer


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage(Page[SyncJob]):
    """Keeps its filter, so that all jobs it is a page of can be counted if somebody asks."""

    where: JobFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage(Page[SyncResult]):
    """As JobPage, of one job."""

    job_id: UUID
    where: ResultFilter


class JobListService:
    """Lists and finds them. What is shown within a job is covered by the event of its reading."""

    def __init__(self, *, db: Database, audit: AuditService, pager: Pager, clock: Clock, interval: timedelta) -> None:
        """`interval`: between two requests to TikTok, at the quota."""
        self._db = db
        self._audit = audit
        self._pager = pager
        self._clock = clock
        self._interval = interval

    async def list(self, viewer: Viewer, page: PageRequest, where: JobFilter) -> JobPage:
        """Newest first. Raises BadUserInput for cursors of another list."""
        statement = sync_jobs.of_viewer(viewer.id, where)
        found = await self._pager.read(statement, sync_jobs.NEWEST_FIRST, page)
        await self._recorded(viewer, len(found.edges))
        return JobPage(edges=found.edges, page_info=found.page_info, where=where)

    async def count(self, viewer: Viewer, where: JobFilter) -> int:
        async with self._db.read() as session:
            return await sync_jobs.count(session, sync_jobs.of_viewer(viewer.id, where))

    async def read(self, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, SyncJob]:
        """Those of these jobs that are the viewer's."""
        jobs = await self.find(viewer, ids)
        await self._recorded(viewer, len(jobs))
        return jobs

    async def find(self, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, SyncJob]:
        """As `read`, for whoever follows a job whose reading was recorded when that began."""
        async with self._db.read() as session:
            return {job.id: job for job in await sync_jobs.list_by_ids(session, viewer.id, ids)}

    async def list_results(self, viewer: Viewer, job_id: UUID, page: PageRequest, where: ResultFilter) -> ResultPage:
        """In the order of the request. Raises BadUserInput for cursors of another list."""
        statement = sync_jobs.results_of(viewer.id, job_id, where)
        found = await self._pager.read(statement, sync_jobs.IN_ORDER, page)
        return ResultPage(edges=found.edges, page_info=found.page_info, job_id=job_id, where=where)

    async def list_first_results(
        self, viewer: Viewer, job_ids: Sequence[UUID], page: PageRequest, where: ResultFilter
    ) -> dict[UUID, ResultPage]:
        """As `list_results`, of several jobs by one statement; for a page without cursors."""
        async with self._db.read() as session:
            ends = await result_pages.read_ends(
                session, viewer.id, job_ids, where, size=page.size, backward=page.backward
            )
        pages: dict[UUID, ResultPage] = {}
        for job_id, end in ends.items():
            found = to_page(end, sync_jobs.IN_ORDER)
            pages[job_id] = ResultPage(edges=found.edges, page_info=found.page_info, job_id=job_id, where=where)
        return pages

    async def count_all_results(self, viewer: Viewer, job_ids: Sequence[UUID], where: ResultFilter) -> dict[UUID, int]:
        """Of several jobs, by one statement."""
        async with self._db.read() as session:
            return await result_pages.count(session, viewer.id, job_ids, where)

    async def read_results(self, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, SyncResult]:
        """Those of these results that are the viewer's."""
        async with self._db.read() as session:
            results = await sync_jobs.list_results_by_ids(session, viewer.id, ids)
        await self._recorded(viewer, len(results))
        return {result.id: result for result in results}

    async def estimate_end(self, viewer: Viewer, job: SyncJob) -> datetime | None:
        """From the quota and what is queued ahead."""
        if job.finished_at is not None or not job.pending_count:
            return None
        async with self._db.read() as session:
            ahead = await sync_jobs.count_ahead(session, viewer.id, job.id)
        return self._clock() + self._interval * ahead

    async def _recorded(self, viewer: Viewer, count: int) -> None:
        await self._audit.record_read(viewer, AuditAction.SYNC_JOBS_READ, Detail(name="count", value=count))


def progress(job: SyncJob) -> float:
    """What was read, in relation to the total; 1 once the job has ended, unless it was canceled.

    Canceled accounts do not count: a job that is canceled in its middle stays there, and nothing ever falls.
    """
    ended = job.finished_at is not None and job.state is not JobState.CANCELED
    return 1.0 if ended or not job.total_count else (job.succeeded_count + job.failed_count) / job.total_count
