"""The root type of queries."""

import strawberry

from tiktok_accounts_gql.execution.cost import VALUES_PER_POINT, costs
from tiktok_accounts_gql.resolvers import accounts as account_resolvers
from tiktok_accounts_gql.resolvers import audit as audit_resolvers
from tiktok_accounts_gql.resolvers import jobs as job_resolvers
from tiktok_accounts_gql.resolvers import nodes as node_resolvers
from tiktok_accounts_gql.resolvers.list_sizes import id_count
from tiktok_accounts_gql.schema.accounts import AccountConnection, AccountsSummaryType, TikTokAccount
from tiktok_accounts_gql.schema.audit import AuditEventConnection
from tiktok_accounts_gql.schema.jobs import SyncJobConnection, SyncJobType
from tiktok_accounts_gql.schema.nodes import PAGE, STATEMENT, Node, RateLimit, ViewerType
from tiktok_accounts_gql.services.sync.schedule import JOB_RETENTION


@strawberry.type(description="Everything that can be read. All of it belongs to the signed-in user.")
class Query:
    node = strawberry.field(
        resolver=node_resolvers.node,
        metadata=STATEMENT,
        graphql_type=Node | None,
        description="Any object of the signed-in user by its id; null if there is none, or it belongs to somebody else.",
    )
    nodes = strawberry.field(
        resolver=node_resolvers.nodes,
        metadata=costs(values=4 * VALUES_PER_POINT, size=id_count),  # a statement for each kind of object
        graphql_type=list[Node | None],
        description="Several objects at once, in the order of `ids`, null where there is none.",
    )
    viewer = strawberry.field(
        resolver=node_resolvers.viewer, graphql_type=ViewerType, description="The signed-in user."
    )
    rate_limit = strawberry.field(
        resolver=node_resolvers.rate_limit,
        graphql_type=RateLimit,
        description="What the signed-in user may still spend.",
    )
    accounts = strawberry.field(
        resolver=account_resolvers.accounts,
        metadata=PAGE,
        graphql_type=AccountConnection,
        description="The signed-in user's connected accounts.",
    )
    account = strawberry.field(
        resolver=account_resolvers.account,
        metadata=STATEMENT,
        graphql_type=TikTokAccount | None,
        description="One account by id; null if there is none, it was disconnected, or it belongs to somebody else.",
    )
    accounts_summary = strawberry.field(
        resolver=account_resolvers.accounts_summary,
        metadata=STATEMENT,
        graphql_type=AccountsSummaryType,
        description="Totals over all connected accounts of the signed-in user.",
    )
    sync_job = strawberry.field(
        resolver=job_resolvers.sync_job,
        metadata=STATEMENT,
        graphql_type=SyncJobType | None,
        description="One sync job by id, for clients that poll; null if there is none, it was pruned, or it belongs to "
        "somebody else.",
    )
    sync_jobs = strawberry.field(
        resolver=job_resolvers.sync_jobs,
        metadata=PAGE,
        graphql_type=SyncJobConnection,
        description=f"The signed-in user's sync jobs, newest first. A finished job is kept for {JOB_RETENTION.days} days.",
    )
    audit_events = strawberry.field(
        resolver=audit_resolvers.audit_events,
        metadata=PAGE,
        graphql_type=AuditEventConnection,
        description="What was done to, and read from, the signed-in user's accounts, newest first.",
    )
