"""Statements about idempotency keys."""

from datetime import datetime

from sqlalchemy import delete, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from tiktok_accounts_gql.db.models import IdempotencyKey


async def reserve(session: AsyncSession, key: IdempotencyKey) -> IdempotencyKey | None:
    """Reserve the key and return None, or return what it was used for before.

    Waits for another transaction that is reserving the same key.
    """
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(IdempotencyKey)
    reserved = insert.values(**key.model_dump()).on_conflict_do_nothing().returning(col(IdempotencyKey.key))
    if await session.scalar(reserved) is not None:
        return None
    statement = select(IdempotencyKey).where(
        col(IdempotencyKey.viewer_id) == key.viewer_id, col(IdempotencyKey.key) == key.key
    )
    return (await session.scalars(statement)).one()


async def delete_before(session: AsyncSession, viewer_id: str, time: datetime) -> None:
    """Delete the viewer's keys that were created before `time`."""
    is_old = (col(IdempotencyKey.viewer_id) == viewer_id, col(IdempotencyKey.created_at) < time)
    await session.execute(delete(IdempotencyKey).where(*is_old))


async def delete_batch_before(session: AsyncSession, time: datetime, *, limit: int) -> int:
    """Delete up to `limit` keys of all viewers that were created before `time`, and return how many."""
    columns, created_at = (col(IdempotencyKey.viewer_id), col(IdempotencyKey.key)), col(IdempotencyKey.created_at)
    old = select(*columns).where(created_at < time).order_by(created_at).limit(limit)
    result = await session.execute(
        delete(IdempotencyKey).where(tuple_(*columns).in_(old)), execution_options={"synchronize_session": False}
    )
    return int(result.rowcount)  # type: ignore[attr-defined]
