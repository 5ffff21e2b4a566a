"""Statements about idempotency keys."""

from datetime import datetime

from sqlalchemy import delete, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from tiktok_accounts_gql.db.models import IdempotencyKey


async def reserve(session: AsyncSession, key: IdempotencyKey) -> IdempotencyKey | None:
    """None if the key is the caller's now, else what it was used for. Waits for whoever is using it at this moment."""
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(IdempotencyKey)
    reserved = insert.values(**key.model_dump()).on_conflict_do_nothing().returning(col(IdempotencyKey.key))
    if await session.scalar(reserved) is not None:
        return None
    used = select(IdempotencyKey).where(
        col(IdempotencyKey.viewer_id) == key.viewer_id, col(IdempotencyKey.key) == key.key
    )
    return (await session.scalars(used)).one()


async def forget_before(session: AsyncSession, viewer_id: str, time: datetime) -> None:
    old = (col(IdempotencyKey.viewer_id) == viewer_id, col(IdempotencyKey.created_at) < time)
    await session.execute(delete(IdempotencyKey).where(*old))


async def forget_some(session: AsyncSession, time: datetime, *, limit: int) -> int:
    """So many keys of all viewers at most that are older; how many there were."""
    own = (col(IdempotencyKey.viewer_id), col(IdempotencyKey.key))
    old = (
        select(*own).where(col(IdempotencyKey.created_at) < time).order_by(col(IdempotencyKey.created_at)).limit(limit)
    )
    forgotten = await session.execute(
        delete(IdempotencyKey).where(tuple_(*own).in_(old)), execution_options={"synchronize_session": False}
    )
    return int(forgotten.rowcount)  # type: ignore[attr-defined]
