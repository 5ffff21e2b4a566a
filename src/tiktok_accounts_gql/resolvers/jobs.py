"""Resolvers of sync jobs and their results."""

from datetime import datetime
from typing import Annotated

import strawberry

from tiktok_accounts_gql.db.models import Account, SyncJob, SyncResult
from tiktok_accounts_gql.errors import UserErrorCode
from tiktok_accounts_gql.pagination import PageRequest
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.resolvers.context import Info
from tiktok_accounts_gql.resolvers.filters import SyncJobFilterInput, SyncResultFilterInput
from tiktok_accounts_gql.resolvers.inputs import CancelSyncJobInput, SyncAccountsInput
from tiktok_accounts_gql.resolvers.page_arguments import After, Before, First, Last
from tiktok_accounts_gql.resolvers.payloads import UserError
from tiktok_accounts_gql.services.sync.job_lists import JobPage, ResultPage
from tiktok_accounts_gql.services.sync.job_lists import progress as progress_of
from tiktok_accounts_gql.services.sync.jobs import JobPayload


async def sync_jobs(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    filter: Annotated[
        SyncJobFilterInput | None, strawberry.argument(description="Which jobs; all of them without it.")
    ] = None,
) -> JobPage:
    page = PageRequest.of(first, after, last, before)
    job_filter = (filter or SyncJobFilterInput()).to_filter()
    return await info.context.services.job_lists.list(info.context.viewer, page, job_filter)


async def job_count(root: strawberry.Parent[JobPage], info: Info) -> int:
    return await info.context.services.job_lists.count(info.context.viewer, root.filter)


async def sync_job(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The job's id.")]
) -> SyncJob | None:
    return await info.context.loaders.sync_jobs.load(ids.job_key(id))


async def results(
    root: strawberry.Parent[SyncJob],
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    filter: Annotated[
        SyncResultFilterInput | None, strawberry.argument(description="Which results; all of them without it.")
    ] = None,
) -> ResultPage:
    page = PageRequest.of(first, after, last, before)
    result_filter = (filter or SyncResultFilterInput()).to_filter()
    if page.after is None and page.before is None:
        first_page = await info.context.loaders.results(page, result_filter).load(root.id)
        if first_page is not None:
            return first_page
    return await info.context.services.job_lists.list_results(info.context.viewer, root.id, page, result_filter)


async def result_count(root: strawberry.Parent[ResultPage], info: Info) -> int:
    return await info.context.loaders.result_counts(root.filter).load(root.job_id) or 0


async def estimated_finish_at(root: strawberry.Parent[SyncJob], info: Info) -> datetime | None:
    return await info.context.services.job_lists.estimate_end(info.context.viewer, root)


def progress(root: strawberry.Parent[SyncJob]) -> float:
    return progress_of(root)


def pending_count(root: strawberry.Parent[SyncJob]) -> int:
    return root.pending_count


def job_id(root: strawberry.Parent[SyncJob]) -> strawberry.ID:
    return strawberry.ID(ids.encode(ids.NodeKind.SYNC_JOB, root.id))


def result_id(root: strawberry.Parent[SyncResult]) -> strawberry.ID:
    return strawberry.ID(ids.encode(ids.NodeKind.SYNC_RESULT, root.id))


def result_account_id(root: strawberry.Parent[SyncResult]) -> strawberry.ID:
    return strawberry.ID(ids.encode(ids.NodeKind.ACCOUNT, root.account_id))


async def result_account(root: strawberry.Parent[SyncResult], info: Info) -> Account | None:
    return await info.context.loaders.accounts.load(root.account_id)


def result_error(root: strawberry.Parent[SyncResult]) -> UserError | None:
    if root.error_code is None:
        return None
    code, message = UserErrorCode(root.error_code), root.error_message or ""
    return UserError(code=code, message=message, field=None, retry_after_seconds=None)


async def sync_accounts(
    info: Info, input: Annotated[SyncAccountsInput, strawberry.argument(description="Which accounts.")]
) -> JobPayload:
    jobs, target = info.context.services.jobs, input.target.to_target()
    return await jobs.start(info.context.viewer, target, input.idempotency_key)


async def cancel_sync_job(
    info: Info, input: Annotated[CancelSyncJobInput, strawberry.argument(description="Which job.")]
) -> JobPayload:
    return await info.context.services.jobs.cancel(info.context.viewer, ids.job_key(input.id))
