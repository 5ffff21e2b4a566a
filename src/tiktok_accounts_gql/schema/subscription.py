"""The root type of subscriptions."""

import strawberry

from tiktok_accounts_gql.events import ChangeKind
from tiktok_accounts_gql.resolvers import subscriptions as subscription_resolvers
from tiktok_accounts_gql.resolvers.enums import describe
from tiktok_accounts_gql.schema.accounts import TikTokAccount
from tiktok_accounts_gql.schema.jobs import SyncJobType
from tiktok_accounts_gql.schema.nodes import STATEMENT

describe(
    ChangeKind,
    "What can happen to an account.",
    {
        "CONNECTED": "It appeared in the lists: for the first time, or again.",
        "UPDATED": "It was synced, reconnected, or its health changed.",
        "DISCONNECTED": "It is gone from the lists.",
    },
    name="AccountChangeKind",
)


@strawberry.type(description="What happened to an account.")
class AccountChange:
    kind: ChangeKind = strawberry.field(description="What happened.")
    account_id: strawberry.ID = strawberry.field(
        resolver=subscription_resolvers.change_account_id, description="The account's id."
    )
    account: TikTokAccount | None = strawberry.field(
        description="The account as it is now; null when it was disconnected."
    )


@strawberry.type(
    description="Everything that can be watched. A client that was away missed what happened meanwhile: it reads again "
    "after it comes back."
)
class Subscription:
    sync_job_updated = strawberry.subscription(
        resolver=subscription_resolvers.sync_job_updated,
        metadata=STATEMENT,
        graphql_type=SyncJobType,
        description="The job: at once as it is, each time it moves on, four times a second at most, and as it ends; then "
        "the subscription ends.",
    )
    account_changed = strawberry.subscription(
        resolver=subscription_resolvers.account_changed,
        metadata=STATEMENT,
        graphql_type=AccountChange,
        description="Every account of the signed-in user that was connected, synced, changed its health, or was "
        "disconnected. Changes of one account within a second come as one. A server on SQLite tells what it does itself, which "
        "is everything unless other processes use its file.",
    )
