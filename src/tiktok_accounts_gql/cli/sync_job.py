"""A sync job in the terminal: its progress, and its summary at the end."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tiktok_accounts_gql.background import in_background
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.db.models import AccountStatus, AuditActor, SyncJob, SyncOutcome, SyncResult
from tiktok_accounts_gql.db.sync_jobs import ResultFilter
from tiktok_accounts_gql.pagination import MAX_SIZE, PageRequest
from tiktok_accounts_gql.services.sync.jobs import MatchingAccounts
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running, open_services

POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFailure:
    """An account that could not be read, by its name, with the error's code and message."""

    account: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """The result of a job, as `--json` prints it."""

    job: str
    state: str
    total: int
    succeeded: int
    failed: int
    canceled: int
    failures: list[AccountFailure]


async def run_sync_job(
    settings: Settings, viewer_id: str, *, all_accounts: bool, run_jobs: bool, show_progress: bool
) -> JobSummary:
    """Start a job and follow it to its end. With `run_jobs` this process works on it, and needs no server."""
    viewer = Viewer(id=viewer_id, actor=AuditActor.SYSTEM)
    account_filter = AccountFilter() if all_accounts else AccountFilter(statuses=(AccountStatus.ACTIVE,))
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(open_services(settings))
        if run_jobs:
            await stack.enter_async_context(in_background(running, settings))
        job = (await running.services.jobs.start(viewer, MatchingAccounts(filter=account_filter), None)).job
        job = await _follow(running, viewer, job, show_progress=show_progress)
        return await _summarize(running, viewer, job)


def print_summary(summary: JobSummary, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(summary), ensure_ascii=False))
        return
    console = Console(highlight=False)
    canceled = f", {summary.canceled} canceled" if summary.canceled else ""
    console.print(
        f"{summary.state}: {summary.succeeded} of {summary.total} accounts read, {summary.failed} failed{canceled}."
    )
    if summary.failures:
        table = Table("account", "code", "why", box=None, pad_edge=False)
        for failure in summary.failures:
            table.add_row(failure.account, failure.code, failure.message)
        console.print(table)


async def _follow(running: Running, viewer: Viewer, job: SyncJob, *, show_progress: bool) -> SyncJob:
    """Poll the job until it has finished, with a progress bar, and return it as it is then."""
    columns = (TextColumn("Syncing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not show_progress) as progress:
        task = progress.add_task("sync", total=job.total_count)
        while job.finished_at is None:
            await asyncio.sleep(POLL_SECONDS)
            job = (await running.services.job_lists.find(viewer, [job.id]))[job.id]
            progress.update(task, completed=job.total_count - job.pending_count)
    return job


async def _summarize(running: Running, viewer: Viewer, job: SyncJob) -> JobSummary:
    results = await _list_failed_results(running, viewer, job)
    accounts = await running.services.accounts.find(viewer, [result.account_id for result in results])
    return JobSummary(
        job=str(job.id),
        state=job.state.value,
        total=job.total_count,
        succeeded=job.succeeded_count,
        failed=job.failed_count,
        canceled=job.canceled_count,
        failures=[
            AccountFailure(
                account=accounts[result.account_id].display_name
                if result.account_id in accounts
                else str(result.account_id),
                code=result.error_code or "",
                message=result.error_message or "",
            )
            for result in results
        ],
    )


async def _list_failed_results(running: Running, viewer: Viewer, job: SyncJob) -> list[SyncResult]:
    results: list[SyncResult] = []
    cursor = None
    result_filter = ResultFilter(outcomes=(SyncOutcome.FAILED,))
    while True:
        request = PageRequest.of(MAX_SIZE, cursor, None, None)
        page = await running.services.job_lists.list_results(viewer, job.id, request, result_filter)
        results += [edge.node for edge in page.edges]
        if not page.page_info.has_next_page:
            return results
        cursor = page.page_info.end_cursor
