"""Resolvers of objects by their global id, as in Relay's Global Object Identification."""

import asyncio
from typing import Annotated, assert_never

import strawberry

from tiktok_accounts_gql.db.models import Account, AuditAction, AuditEvent, SyncJob, SyncResult
from tiktok_accounts_gql.errors import BadUserInput
from tiktok_accounts_gql.resolvers import ids as global_ids
from tiktok_accounts_gql.resolvers.context import Info
from tiktok_accounts_gql.resolvers.ids import NodeKind
from tiktok_accounts_gql.services.audit import Detail
from tiktok_accounts_gql.services.cost_budget import BudgetStatus
from tiktok_accounts_gql.services.viewer import Viewer

MAX_IDS = 50

AnyNode = Account | AuditEvent | SyncJob | SyncResult | Viewer


async def node(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The object's id.")]
) -> AnyNode | None:
    return await _load_node(info, id)


async def nodes(
    info: Info, ids: Annotated[list[strawberry.ID], strawberry.argument(description=f"{MAX_IDS} at most.")]
) -> list[AnyNode | None]:
    if len(ids) > MAX_IDS:
        raise BadUserInput(f"`ids` has {MAX_IDS} ids at most.")
    return await asyncio.gather(*[_load_node(info, global_id) for global_id in ids])


async def viewer(info: Info) -> Viewer | None:
    await info.context.services.audit.record_read(info.context.viewer, AuditAction.VIEWER_READ)
    return info.context.viewer


async def rate_limit(info: Info) -> BudgetStatus:
    await info.context.services.audit.record_read(info.context.viewer, AuditAction.VIEWER_READ)
    return info.context.services.budget.get_status(info.context.viewer.id, info.context.cost)


def viewer_id(root: strawberry.Parent[Viewer]) -> strawberry.ID:
    return strawberry.ID(global_ids.encode(NodeKind.VIEWER, root.id))


def viewer_user_id(root: strawberry.Parent[Viewer]) -> str:
    return root.id


async def _load_node(info: Info, id: str) -> AnyNode | None:
    """Load an object of the viewer; None if there is none. Each read is audited, one that finds nothing too."""
    loaders = info.context.loaders
    # An id that is not one of ours is audited as an account that was not found.
    kind, key = global_ids.decode(id) or (NodeKind.ACCOUNT, global_ids.account_key(id))
    match kind:
        case NodeKind.ACCOUNT:
            return await loaders.account_reads.load(key)
        case NodeKind.AUDIT_EVENT:
            return await loaders.audit_events.load(key)
        case NodeKind.SYNC_JOB:
            return await loaders.sync_jobs.load(key)
        case NodeKind.SYNC_RESULT:
            return await loaders.sync_results.load(key)
        case NodeKind.VIEWER:
            if key == info.context.viewer.id:
                return await viewer(info)
            not_found = Detail(name="notFound", value=1)
            await info.context.services.audit.record_read(info.context.viewer, AuditAction.VIEWER_READ, not_found)
            return None
        case _:
            assert_never(kind)
