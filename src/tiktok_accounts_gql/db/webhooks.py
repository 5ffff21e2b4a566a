"""Statements about webhook events, which TikTok sends."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.models import WebhookEvent
from tiktok_accounts_gql.db.tables import table_of
from tiktok_accounts_gql.db.unit_of_work import defer_rows


async def add(session: AsyncSession, event: WebhookEvent) -> bool:
    """Store an event. Return False if the same one is stored already."""
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(WebhookEvent)
    statement = insert.values(**event.model_dump()).on_conflict_do_nothing().returning(col(WebhookEvent.body_hash))
    return await session.scalar(statement) is not None


async def claim_unprocessed(
    session: AsyncSession,
    *,
    now: datetime,
    latest: datetime,
    next_attempt_at: Callable[[WebhookEvent, datetime], datetime],
    limit: int,
) -> Sequence[WebhookEvent]:
    """Claim due events that are not processed yet, and return them, oldest first.

    No other process gets them before their next attempt, which `next_attempt_at` computes from an event and `now`.
    `latest`: the latest time of an attempt. A later one was stored while a clock was ahead.
    """
    due_at = col(WebhookEvent.next_attempt_at)
    is_due = or_(due_at.is_(None), due_at <= now, due_at > latest)
    statement = select(WebhookEvent).where(col(WebhookEvent.processed_at).is_(None), is_due)
    statement = statement.order_by(col(WebhookEvent.received_at)).limit(limit)
    events = (await session.scalars(statement.with_for_update(key_share=True, skip_locked=True))).all()
    rows = [{"of_hash": event.body_hash, "later": next_attempt_at(event, now)} for event in events]
    defer_rows(session, _CLAIM, rows)
    return events


async def mark_processed(session: AsyncSession, body_hash: bytes, now: datetime) -> None:
    statement = update(WebhookEvent).where(col(WebhookEvent.body_hash) == body_hash)
    await session.execute(statement.values(processed_at=now))


async def delete_before(session: AsyncSession, time: datetime, *, attempts: int) -> list[bytes]:
    """Delete events that were received before `time` and are processed, or have failed `attempts` times.

    Return the hashes of those that were not processed. TikTok repeats an event for 72 hours: `time` must be earlier.
    """
    is_done = or_(col(WebhookEvent.processed_at).is_not(None), col(WebhookEvent.attempts) >= attempts)
    statement = delete(WebhookEvent).where(col(WebhookEvent.received_at) < time, is_done)
    rows = await session.execute(statement.returning(col(WebhookEvent.body_hash), col(WebhookEvent.processed_at)))
    return [body_hash for body_hash, processed_at in rows if processed_at is None]


_table = table_of(WebhookEvent)
_CLAIM = (
    update(_table)
    .where(_table.c.body_hash == bindparam("of_hash"))
    .values(attempts=_table.c.attempts + 1, next_attempt_at=bindparam("later"))
)
