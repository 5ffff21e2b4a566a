"""Statements about what TikTok told us."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.closing import write_at_end
from tiktok_accounts_gql.db.models import WebhookEvent
from tiktok_accounts_gql.db.tables import table_of


async def add(session: AsyncSession, event: WebhookEvent) -> bool:
    """False if the same one is there already."""
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(WebhookEvent)
    added = insert.values(**event.model_dump()).on_conflict_do_nothing().returning(col(WebhookEvent.body_hash))
    return await session.scalar(added) is not None


async def claim_waiting(
    session: AsyncSession,
    *,
    now: datetime,
    latest: datetime,
    next_attempt_at: Callable[[WebhookEvent, datetime], datetime],
    limit: int,
) -> Sequence[WebhookEvent]:
    """Not processed yet and due, oldest first; nobody else gets one before its next attempt.

    `latest`: as late as an attempt can be due. What is due later was claimed while the clock was ahead.
    """
    next_one = col(WebhookEvent.next_attempt_at)
    due = or_(next_one.is_(None), next_one <= now, next_one > latest)
    waiting = select(WebhookEvent).where(col(WebhookEvent.processed_at).is_(None), due)
    oldest = (
        waiting.order_by(col(WebhookEvent.received_at)).limit(limit).with_for_update(key_share=True, skip_locked=True)
    )
    claimed = (await session.scalars(oldest)).all()
    later = [{"of_hash": event.body_hash, "later": next_attempt_at(event, now)} for event in claimed]
    write_at_end(session, _POSTPONE, later)
    return claimed


async def mark_processed(session: AsyncSession, body_hash: bytes, now: datetime) -> None:
    statement = update(WebhookEvent).where(col(WebhookEvent.body_hash) == body_hash)
    await session.execute(statement.values(processed_at=now))


async def forget_before(session: AsyncSession, time: datetime, *, attempts: int) -> list[bytes]:
    """TikTok repeats for 72 hours; what is older is known to nobody any more. What was not processed stays for so many
    attempts; returns the hashes of what was given up.
    """
    over = or_(col(WebhookEvent.processed_at).is_not(None), col(WebhookEvent.attempts) >= attempts)
    old = delete(WebhookEvent).where(col(WebhookEvent.received_at) < time, over)
    forgotten = await session.execute(old.returning(col(WebhookEvent.body_hash), col(WebhookEvent.processed_at)))
    return [body_hash for body_hash, processed_at in forgotten if processed_at is None]


_table = table_of(WebhookEvent)
_POSTPONE = (
    update(_table)
    .where(_table.c.body_hash == bindparam("of_hash"))
    .values(attempts=_table.c.attempts + 1, next_attempt_at=bindparam("later"))
)
