"""Statements about what TikTok told us."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.models import WebhookEvent


async def add(session: AsyncSession, event: WebhookEvent) -> bool:
    """False if the same one is there already."""
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(WebhookEvent)
    added = insert.values(**event.model_dump()).on_conflict_do_nothing().returning(col(WebhookEvent.body_hash))
    return await session.scalar(added) is not None


async def list_waiting(session: AsyncSession, *, limit: int) -> Sequence[WebhookEvent]:
    """Not processed yet, oldest first."""
    waiting = select(WebhookEvent).where(col(WebhookEvent.processed_at).is_(None))
    return (await session.scalars(waiting.order_by(col(WebhookEvent.received_at)).limit(limit))).all()


async def mark_processed(session: AsyncSession, body_hash: bytes, now: datetime) -> None:
    statement = update(WebhookEvent).where(col(WebhookEvent.body_hash) == body_hash)
    await session.execute(statement.values(processed_at=now))


async def forget_before(session: AsyncSession, time: datetime) -> None:
    """TikTok repeats for 72 hours; what is older is known to nobody any more."""
    old = (col(WebhookEvent.processed_at).is_not(None), col(WebhookEvent.received_at) < time)
    await session.execute(delete(WebhookEvent).where(*old))
