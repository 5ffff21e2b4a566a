"""Sync jobs over GraphQL: their documents, started and polled."""

import asyncio
from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from tests.support.server import Api
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db.models import Account, AuditEvent, Snapshot
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.wiring import Running

COUNTS = "totalCount succeededCount failedCount canceledCount pendingCount"
JOB = f"id state {COUNTS} progress createdAt startedAt finishedAt estimatedFinishAt"
START = f"""
mutation Start($input: SyncAccountsInput!) {{
  syncAccounts(input: $input) {{ job {{ {JOB} }} userErrors {{ code message field }} }}
}}
"""
POLL = f"""
query Poll($id: ID!, $first: Int, $after: String, $filter: SyncResultFilter) {{
  syncJob(id: $id) {{
    {JOB}
    results(first: $first, after: $after, filter: $filter) {{
      totalCount
      edges {{ cursor node {{ id accountId account {{ id }} outcome error {{ code message field }} finishedAt }} }}
      pageInfo {{ hasNextPage endCursor }}
    }}
  }}
}}
"""
FINISH_SECONDS = 30
POLL_SECONDS = 0.2


def global_id(key: Any) -> str:
    return ids.encode(ids.NodeKind.ACCOUNT, key)


async def start(api: Api, target: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """Start a job; return the mutation's payload."""
    payload: dict[str, Any] = (await api.data(START, input={"target": target, "idempotencyKey": key}))["syncAccounts"]
    return payload


async def wait_until_finished(api: Api, job: dict[str, Any], **page: Any) -> dict[str, Any]:
    """Poll the job until it has finished; return it as it is then."""
    deadline = asyncio.get_running_loop().time() + FINISH_SECONDS
    while True:
        polled: dict[str, Any] = (await api.data(POLL, id=job["id"], **page))["syncJob"]
        if polled["finishedAt"]:
            return polled
        assert asyncio.get_running_loop().time() < deadline, polled
        await asyncio.sleep(POLL_SECONDS)


async def connect_accounts(tiktok: TikTok, viewer: str, count: int) -> list[Account]:
    return [await tiktok.connect(viewer) for _ in range(count)]


async def count_rows(running: Running, model: type[Snapshot | AuditEvent], viewer: str, **where: Any) -> int:
    conditions = [getattr(model, name) == value for name, value in where.items()]
    statement = select(func.count()).select_from(model).where(col(model.viewer_id) == viewer, *conditions)
    async with running.db.read() as session:
        return (await session.execute(statement)).scalar_one()
