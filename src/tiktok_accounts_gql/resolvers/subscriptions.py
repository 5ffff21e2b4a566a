"""Resolvers of subscriptions."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from tiktok_accounts_gql.db.models import SyncJob
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.resolvers.context import Info
from tiktok_accounts_gql.services.subscriptions import ChangedAccount


async def sync_job_updated(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The job's id.")]
) -> AsyncGenerator[SyncJob]:
    return await info.context.services.subscriptions.watch_job(info.context.viewer, ids.job_key(id))


async def account_changed(info: Info) -> AsyncGenerator[ChangedAccount]:
    return info.context.services.subscriptions.watch_accounts(info.context.viewer)


def change_account_id(root: strawberry.Parent[ChangedAccount]) -> strawberry.ID:
    return strawberry.ID(ids.encode(ids.NodeKind.ACCOUNT, root.account_id))
