"""Statements about revocations that are owed to TikTok."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.crypto import Place
from tiktok_accounts_gql.db.models import OwedRevocation

CLAIMED_FOR = timedelta(minutes=2)  # longer than its calls and their slots take


def place(revocation_id: UUID, column: str) -> Place:
    return Place(table=OwedRevocation.__tablename__, column=column, row=revocation_id)


async def claim_due(
    session: AsyncSession, *, now: datetime, until: datetime, give_up_by: datetime
) -> OwedRevocation | None:
    """A revocation whose turn it is, of any viewer; nobody else gets it before `until`.

    `give_up_by`: as late as it can be given up. What is later was stored while the clock was ahead.
    """
    due = select(col(OwedRevocation.id)).where(_is_due(now)).order_by(col(OwedRevocation.next_attempt_at)).limit(1)
    due = due.with_for_update(skip_locked=True)
    given_up_at = case(
        (col(OwedRevocation.given_up_at) > give_up_by, give_up_by), else_=col(OwedRevocation.given_up_at)
    )
    claimed = (
        update(OwedRevocation)
        .where(col(OwedRevocation.id).in_(due), _is_due(now))
        .values(next_attempt_at=until, given_up_at=given_up_at)
        .returning(OwedRevocation)
    )
    claim: OwedRevocation | None = await session.scalar(claimed, execution_options={"populate_existing": True})
    return claim


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Also what lies further ahead than it can."""
    next_attempt_at = col(OwedRevocation.next_attempt_at)
    return or_(next_attempt_at <= now, next_attempt_at > now + 2 * CLAIMED_FOR)


async def change(session: AsyncSession, viewer_id: str, revocation_id: UUID, **values: Any) -> None:
    await session.execute(update(OwedRevocation).where(*_owned(viewer_id, revocation_id)).values(**values))


async def settle(session: AsyncSession, viewer_id: str, revocation_id: UUID) -> None:
    await session.execute(delete(OwedRevocation).where(*_owned(viewer_id, revocation_id)))


async def is_claimed(session: AsyncSession, owed: OwedRevocation) -> bool:
    """Whether nobody else has claimed it since."""
    same = col(OwedRevocation.next_attempt_at) == owed.next_attempt_at
    claimed = select(col(OwedRevocation.id)).where(*_owned(owed.viewer_id, owed.id), same)
    return await session.scalar(claimed) is not None


def _owned(viewer_id: str, revocation_id: UUID) -> tuple[Any, Any]:
    return col(OwedRevocation.viewer_id) == viewer_id, col(OwedRevocation.id) == revocation_id
