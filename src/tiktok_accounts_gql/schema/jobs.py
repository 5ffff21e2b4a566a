"""Types of sync jobs."""

from datetime import datetime

import strawberry

from tiktok_accounts_gql.compiler.lookahead import requires
from tiktok_accounts_gql.db.models import JobState, SyncJob, SyncOutcome, SyncResult
from tiktok_accounts_gql.db.result_pages import ResultRow
from tiktok_accounts_gql.execution.cost import costs
from tiktok_accounts_gql.resolvers import jobs as job_resolvers
from tiktok_accounts_gql.schema.accounts import TikTokAccount
from tiktok_accounts_gql.schema.nodes import (
    COUNTED,
    NODE_ID,
    PAGE,
    STATEMENT,
    TOTAL_COUNT,
    BaseConnection,
    BaseEdge,
    Node,
)
from tiktok_accounts_gql.schema.user_errors import UserErrorType


@strawberry.type(name="SyncResult", description="What became of one account in a sync job.")
class SyncResultType(Node):
    view_of = (ResultRow, SyncResult)  # in the order of their frequency, which is checked first

    id: strawberry.ID = strawberry.field(resolver=job_resolvers.result_id, metadata=requires("id"), description=NODE_ID)
    account_id: strawberry.ID = strawberry.field(
        resolver=job_resolvers.result_account_id,
        metadata=requires("account_id"),
        description="The account's id as asked for, there even when the account is not.",
    )
    account = strawberry.field(
        resolver=job_resolvers.result_account,
        metadata=requires("account_id") | costs(values=2),
        graphql_type=TikTokAccount | None,
        description="Null if it was disconnected or never was the signed-in user's.",
    )
    outcome: SyncOutcome = strawberry.field(description="How far it is.")
    error = strawberry.field(
        resolver=job_resolvers.result_error,
        metadata=requires("error_code", "error_message"),
        graphql_type=UserErrorType | None,
        description="Why it failed; its `field` is null.",
    )
    finished_at: datetime | None = strawberry.field(description="When its last attempt ended.")


@strawberry.type(description="Results of a sync job, as a place in a list.")
class SyncResultEdge(BaseEdge[SyncResultType]):
    pass


@strawberry.type(description="Results of a sync job, page by page.")
class SyncResultConnection(BaseConnection[SyncResultEdge]):
    total_count: int = strawberry.field(resolver=job_resolvers.result_count, metadata=COUNTED, description=TOTAL_COUNT)


@strawberry.type(
    name="SyncJob", description="The sync of many accounts in the background. It survives a restart of the server."
)
class SyncJobType(Node):
    view_of = SyncJob

    id: strawberry.ID = strawberry.field(resolver=job_resolvers.job_id, metadata=requires("id"), description=NODE_ID)
    state: JobState = strawberry.field(description="How far it is.")
    total_count: int = strawberry.field(description="Accounts to read.")
    succeeded_count: int = strawberry.field(description="Accounts read.")
    failed_count: int = strawberry.field(description="Accounts that could not be read.")
    canceled_count: int = strawberry.field(
        description="Accounts that were not read, because `cancelSyncJob` came first or they were disconnected meanwhile."
    )
    pending_count: int = strawberry.field(
        resolver=job_resolvers.pending_count,
        metadata=requires("total_count", "succeeded_count", "failed_count", "canceled_count"),
        description="Accounts whose turn is still to come, or which are being read. `succeededCount`, `failedCount`, "
        "`canceledCount` and `pendingCount` always add up to `totalCount`.",
    )
    progress: float = strawberry.field(
        resolver=job_resolvers.progress,
        metadata=requires("total_count", "succeeded_count", "failed_count", "state", "finished_at"),
        description="`succeededCount` and `failedCount` in relation to `totalCount`, from 0 to 1. It never falls. It is 1 "
        "once `finishedAt` is there, unless the job was canceled: then it stays at what was done.",
    )
    created_at: datetime = strawberry.field(description="When it was asked for.")
    started_at: datetime | None = strawberry.field(description="When its first account began.")
    finished_at: datetime | None = strawberry.field(
        description="When its last account ended. Nothing of the job changes after that: stop polling."
    )
    estimated_finish_at: datetime | None = strawberry.field(
        resolver=job_resolvers.estimated_finish_at,
        metadata=STATEMENT,
        description="A guess; null once the job has finished.",
    )
    results = strawberry.field(
        resolver=job_resolvers.results,
        metadata=requires("id") | PAGE,
        graphql_type=SyncResultConnection,
        description="One result per account, in the order of the request.",
    )


@strawberry.type(description="Sync jobs, as a place in a list.")
class SyncJobEdge(BaseEdge[SyncJobType]):
    pass


@strawberry.type(description="Sync jobs, page by page.")
class SyncJobConnection(BaseConnection[SyncJobEdge]):
    total_count: int = strawberry.field(resolver=job_resolvers.job_count, metadata=COUNTED, description=TOTAL_COUNT)
