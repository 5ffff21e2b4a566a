"""Resolvers of audit events."""

from typing import Annotated
from uuid import UUID

import strawberry

from tiktok_accounts_gql.db.models import Account, AuditEvent
from tiktok_accounts_gql.pagination import Page, PageRequest
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.resolvers.context import Info
from tiktok_accounts_gql.resolvers.filters import AuditEventFilterInput
from tiktok_accounts_gql.resolvers.page_arguments import After, Before, First, Last
from tiktok_accounts_gql.services.audit import JOB_DETAIL, StoredDetail


async def audit_events(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    filter: Annotated[
        AuditEventFilterInput | None, strawberry.argument(description="Which events; all of them without it.")
    ] = None,
) -> Page[AuditEvent]:
    page = PageRequest.of(first, after, last, before)
    event_filter = (filter or AuditEventFilterInput()).to_filter()
    return await info.context.services.audit.list(info.context.viewer, page, event_filter)


def event_id(root: strawberry.Parent[AuditEvent]) -> strawberry.ID:
    return strawberry.ID(ids.encode(ids.NodeKind.AUDIT_EVENT, root.id))


def event_account_id(root: strawberry.Parent[AuditEvent]) -> strawberry.ID | None:
    return None if root.account_id is None else strawberry.ID(ids.encode(ids.NodeKind.ACCOUNT, root.account_id))


async def event_account(root: strawberry.Parent[AuditEvent], info: Info) -> Account | None:
    return None if root.account_id is None else await info.context.loaders.accounts.load(root.account_id)


def detail_name(root: strawberry.Parent[StoredDetail]) -> str:
    return root["name"]


def detail_value(root: strawberry.Parent[StoredDetail]) -> str | None:
    """Return the value. Events store the key of a sync job; clients get its global id."""
    value = root["value"]
    return ids.encode(ids.NodeKind.SYNC_JOB, UUID(value)) if value and root["name"] == JOB_DETAIL else value


def detail_previous_value(root: strawberry.Parent[StoredDetail]) -> str | None:
    return root["previousValue"]
