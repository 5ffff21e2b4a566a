"""Resolvers of accounts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import strawberry

from tiktok_accounts_gql.compiler.lookahead import get_lookahead
from tiktok_accounts_gql.db.account_queries import LoadHints
from tiktok_accounts_gql.db.account_totals import AccountsSummary
from tiktok_accounts_gql.db.models import Account, AccountStatus
from tiktok_accounts_gql.db.snapshot_queries import Point
from tiktok_accounts_gql.pagination import PageRequest
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.resolvers.context import Info
from tiktok_accounts_gql.resolvers.filters import AccountFilterInput, AccountOrderInput
from tiktok_accounts_gql.resolvers.inputs import DisconnectAccountInput, SyncAccountInput
from tiktok_accounts_gql.resolvers.page_arguments import After, Before, First, Last
from tiktok_accounts_gql.resolvers.payloads import FailedPayload
from tiktok_accounts_gql.services.accounts import AccountPage, DisconnectedAccount
from tiktok_accounts_gql.services.history import DEFAULT_PERIOD, MAX_GROWTH_DAYS, Growth, StatsGranularity
from tiktok_accounts_gql.services.sync.outcomes import SyncedAccount

ALL_ACCOUNTS = AccountFilterInput().to_filter()
NEWEST_FIRST = AccountOrderInput().to_order()


async def accounts(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    filter: Annotated[
        AccountFilterInput | None, strawberry.argument(description="Which accounts; all of them without it.")
    ] = None,
    order_by: Annotated[AccountOrderInput | None, strawberry.argument(description="Newest first without it.")] = None,
) -> AccountPage:
    page = PageRequest.of(first, after, last, before)
    account_filter = filter.to_filter() if filter else ALL_ACCOUNTS
    order = order_by.to_order() if order_by else NEWEST_FIRST
    needs = get_lookahead(info)
    hints = LoadHints(attributes=needs.attributes, total="totalCount" in needs.fields)
    return await info.context.services.accounts.list(info.context.viewer, page, account_filter, order, hints)


async def total_count(root: strawberry.Parent[AccountPage], info: Info) -> int:
    return await info.context.services.accounts.count_all(info.context.viewer, root)


async def account(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The account's id.")]
) -> Account | None:
    return await info.context.loaders.account_reads.load(ids.account_key(id))


async def accounts_summary(info: Info) -> AccountsSummary:
    return await info.context.services.accounts.summarize(info.context.viewer)


def account_id(root: strawberry.Parent[Account]) -> strawberry.ID:
    return strawberry.ID(ids.encode(ids.NodeKind.ACCOUNT, root.id))


def missing_scopes(root: strawberry.Parent[Account], info: Info) -> list[str]:
    return [scope for scope in info.context.services.scopes if scope not in root.granted_scopes]


def avatar_url(root: strawberry.Parent[Account], info: Info) -> str | None:
    return ids.avatar_link(info.context.services.public_url, root.id, root.avatar_hash)


def token_expires_at(root: strawberry.Parent[Account]) -> datetime | None:
    return root.token_expires_at if root.status == AccountStatus.ACTIVE else None


def reauthorize_by(root: strawberry.Parent[Account]) -> datetime | None:
    return root.reauthorize_by if root.status == AccountStatus.ACTIVE else None


def health(root: strawberry.Parent[Account]) -> Account:
    return root


async def stats_history(
    root: strawberry.Parent[Account],
    info: Info,
    from_: Annotated[
        datetime | None,
        strawberry.argument(
            name="from",
            description=f"Inclusive; without it {DEFAULT_PERIOD[StatsGranularity.DAY].days} days before `to`, or "
            f"{DEFAULT_PERIOD[StatsGranularity.HOUR].days} by the hour. Round it to the hour or day, or a "
            "client's cache never hits.",
        ),
    ] = None,
    to: Annotated[datetime | None, strawberry.argument(description="Exclusive; now without it.")] = None,
    granularity: Annotated[
        StatsGranularity, strawberry.argument(description="How close the points lie.")
    ] = StatsGranularity.DAY,
) -> Sequence[Point]:
    period = info.context.services.history.build_period(from_, to, granularity)
    return await info.context.loaders.stats(period).load(root.id) or []


async def growth(
    root: strawberry.Parent[Account],
    info: Info,
    days: Annotated[int, strawberry.argument(description=f"From 1 to {MAX_GROWTH_DAYS}.")] = 7,
) -> Growth | None:
    return await info.context.loaders.growth(days).load(root.id)


async def sync_account(
    info: Info, input: Annotated[SyncAccountInput, strawberry.argument(description="Which account.")]
) -> SyncedAccount:
    return await info.context.services.syncing.sync(info.context.viewer, ids.account_key(input.id))


async def disconnect_account(
    info: Info, input: Annotated[DisconnectAccountInput, strawberry.argument(description="Which account.")]
) -> DisconnectedAccount:
    account_id = ids.account_key(input.id)
    return await info.context.services.accounts.disconnect(info.context.viewer, account_id, input.idempotency_key)


def disconnected_account_id(root: strawberry.Parent[DisconnectedAccount | FailedPayload]) -> strawberry.ID | None:
    if isinstance(root, FailedPayload):
        return None
    return strawberry.ID(ids.encode(ids.NodeKind.ACCOUNT, root.disconnected_account_id))
