"""Statements about revocations that are owed to TikTok."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.crypto import Place
from tiktok_accounts_gql.db.closing import write_at_end
from tiktok_accounts_gql.db.models import OwedRevocation
from tiktok_accounts_gql.db.tables import table_of


def place(revocation_id: UUID, column: str) -> Place:
    return Place(table=OwedRevocation.__tablename__, column=column, row=revocation_id)


async def claim_due(
    session: AsyncSession, *, now: datetime, next_attempt_at: Callable[[OwedRevocation], datetime], limit: int
) -> Sequence[OwedRevocation]:
    """Revocations whose turn it is, of all viewers, oldest first; nobody else gets one before its next attempt."""
    due = select(OwedRevocation).where(col(OwedRevocation.next_attempt_at) <= now)
    oldest = due.order_by(col(OwedRevocation.next_attempt_at)).limit(limit).with_for_update(skip_locked=True)
    claimed = (await session.scalars(oldest)).all()
    later = [{"of_viewer": owed.viewer_id, "of_id": owed.id, "later": next_attempt_at(owed)} for owed in claimed]
    write_at_end(session, _POSTPONE, later)
    return claimed


async def change(session: AsyncSession, viewer_id: str, revocation_id: UUID, **values: Any) -> None:
    await session.execute(update(OwedRevocation).where(*_owned(viewer_id, revocation_id)).values(**values))


async def settle(session: AsyncSession, viewer_id: str, revocation_id: UUID) -> None:
    await session.execute(delete(OwedRevocation).where(*_owned(viewer_id, revocation_id)))


_table = table_of(OwedRevocation)
_POSTPONE = (
    update(_table)
    .where(_table.c.viewer_id == bindparam("of_viewer"), _table.c.id == bindparam("of_id"))
    .values(next_attempt_at=bindparam("later"))
)


def _owned(viewer_id: str, revocation_id: UUID) -> tuple[Any, Any]:
    return col(OwedRevocation.viewer_id) == viewer_id, col(OwedRevocation.id) == revocation_id
