"""`tiktok-accounts sync`: a sync job in the terminal, with its progress and what came of it."""

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
from tiktok_accounts_gql.db.models import AccountStatus, AuditActor, JobState, SyncJob, SyncOutcome, SyncResult
from tiktok_accounts_gql.db.sync_jobs import ResultFilter
from tiktok_accounts_gql.pagination import MAX_SIZE, PageRequest
from tiktok_accounts_gql.services.sync.jobs import MatchingAccounts
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running, open_services

POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    account: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What `--json` prints."""

    job: str
    state: str
    total: int
    succeeded: int
    failed: int
    canceled: int
    failures: list[Failure]


async def run_sync(settings: Settings, viewer_id: str, *, everything: bool, works: bool, as_json: bool) -> bool:
    """Begins a job and follows it to its end; whether all of it succeeded. `works`: in this process, not a server's."""
    viewer = Viewer(id=viewer_id, actor=AuditActor.SYSTEM)
    where = AccountFilter() if everything else AccountFilter(statuses=(AccountStatus.ACTIVE,))
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(open_services(settings))
        if works:
            await stack.enter_async_context(in_background(running, settings))
        job = (await running.services.jobs.start(viewer, MatchingAccounts(filter=where), None)).job
        job = await _followed(running, viewer, job, quiet=as_json)
        summary = await _summary(running, viewer, job)
    _show(summary, as_json=as_json)
    return summary.state == JobState.SUCCEEDED


async def _followed(running: Running, viewer: Viewer, job: SyncJob, *, quiet: bool) -> SyncJob:
    columns = (TextColumn("Syncing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task("sync", total=job.total_count)
        while job.finished_at is None:
            await asyncio.sleep(POLL_SECONDS)
            job = (await running.services.job_lists.find(viewer, [job.id]))[job.id]
            progress.update(task, completed=job.total_count - job.pending_count)
    return job


async def _summary(running: Running, viewer: Viewer, job: SyncJob) -> Summary:
    failed = await _failed(running, viewer, job)
    found = await running.services.accounts.find(viewer, [result.account_id for result in failed])
    failures = [
        Failure(
            account=found[result.account_id].display_name if result.account_id in found else str(result.account_id),
            code=result.error_code or "",
            message=result.error_message or "",
        )
        for result in failed
    ]
    counts = {
        "total": job.total_count,
        "succeeded": job.succeeded_count,
        "failed": job.failed_count,
        "canceled": job.canceled_count,
    }
    return Summary(job=str(job.id), state=job.state.value, failures=failures, **counts)


async def _failed(running: Running, viewer: Viewer, job: SyncJob) -> list[SyncResult]:
    failed: list[SyncResult] = []
    after = None
    where = ResultFilter(outcomes=(SyncOutcome.FAILED,))
    while True:
        request = PageRequest.of(MAX_SIZE, after, None, None)
        page = await running.services.job_lists.list_results(viewer, job.id, request, where)
        failed += [edge.node for edge in page.edges]
        if not page.page_info.has_next_page:
            return failed
        after = page.page_info.end_cursor


def _show(summary: Summary, *, as_json: bool) -> None:
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
