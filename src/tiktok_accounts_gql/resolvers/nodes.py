"""Any object by its global id, as in Relay's Global Object Identification."""

import asyncio
from typing import Annotated
from uuid import UUID

import strawberry

from tiktok_accounts_gql.db.models import Account, AuditAction, AuditEvent, SyncJob, SyncResult
from tiktok_accounts_gql.errors import BadUserInput
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.resolvers.context import Info
from tiktok_accounts_gql.services.audit import Detail
from tiktok_accounts_gql.services.cost_budget import BudgetStatus
from tiktok_accounts_gql.services.viewer import Viewer

MAX_IDS = 50

AnyNode = Account | AuditEvent | SyncJob | SyncResult | Viewer


async def node(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The object's id.")]
) -> AnyNode | None:
    return await _load(info, id)


async def nodes(
    info: Info, global_ids: Annotated[list[strawberry.ID], strawberry.argument(name="ids", description="50 at most.")]
) -> list[AnyNode | None]:
    if len(global_ids) > MAX_IDS:
        raise BadUserInput(f"`ids` has {MAX_IDS} ids at most.")
    return await asyncio.gather(*[_load(info, global_id) for global_id in global_ids])


async def viewer(info: Info) -> Viewer | None:
    return await _viewer(info)


async def rate_limit(info: Info) -> BudgetStatus:
    await info.context.services.audit.record_read(info.context.viewer, AuditAction.VIEWER_READ)
    return info.context.services.budget.get_status(info.context.viewer.id, info.context.cost)


def viewer_id(root: strawberry.Parent[Viewer]) -> strawberry.ID:
    return strawberry.ID(ids.encode(ids.Kind.VIEWER, root.id))


def viewer_user_id(root: strawberry.Parent[Viewer]) -> str:
    return root.id


async def _load(info: Info, global_id: str) -> AnyNode | None:
    match ids.decode(global_id):
        case ids.Kind.ACCOUNT, UUID() as key:
            return await info.context.loaders.account_reads.load(key)
        case ids.Kind.AUDIT_EVENT, UUID() as key:
            return await info.context.loaders.audit_events.load(key)
        case ids.Kind.SYNC_JOB, UUID() as key:
            return await info.context.loaders.sync_jobs.load(key)
        case ids.Kind.SYNC_RESULT, UUID() as key:
            return await info.context.loaders.sync_results.load(key)
        case ids.Kind.VIEWER, key:
            return await _viewer(info, missing=key != info.context.viewer.id)
    return await info.context.loaders.account_reads.load(ids.account_key(global_id))  # none, and the audit says so


async def _viewer(info: Info, *, missing: bool = False) -> Viewer | None:
    details = [Detail(name="notFound", value=1)] if missing else []
    await info.context.services.audit.record_read(info.context.viewer, AuditAction.VIEWER_READ, *details)
    return None if missing else info.context.viewer
