"""Statements about revocations that are owed to TikTok.

A claim (`next_attempt_at`) keeps other processes away while one waits for a slot. A lease tells that TikTok is being asked.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.crypto import Place
from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.models import Account, OwedRevocation
from tiktok_accounts_gql.db.token_pairs import is_over

CLAIMED_FOR = timedelta(minutes=2)  # longer than its calls and their slots take
LONGEST_RETRY = timedelta(hours=6)
LATE = CLAIMED_FOR + timedelta(minutes=1)  # two clocks differ
AGES = (timedelta(minutes=2), timedelta(minutes=20), timedelta(hours=2))  # a retry comes after half of the age


def place(revocation_id: UUID, column: str) -> Place:
    return Place(table=OwedRevocation.__tablename__, column=column, row=revocation_id)


async def add(session: AsyncSession, owed: OwedRevocation) -> None:
    await session.execute(insert(OwedRevocation).values(**owed.model_dump()))


async def claim_due(
    session: AsyncSession, *, now: datetime, until: datetime, give_up_by: datetime
) -> OwedRevocation | None:
    """A revocation whose turn it is, of any viewer; nobody else gets it before `until`.

    `give_up_by`: as late as it can be given up. What is later was stored while the clock was ahead.
    """
    due = (
        select(col(OwedRevocation.id))
        .where(_is_due(now, give_up_by), _free())
        .order_by(col(OwedRevocation.next_attempt_at))
    )
    due = due.limit(1).with_for_update(key_share=True, skip_locked=True)
    given_up_at = case(
        (col(OwedRevocation.given_up_at) > give_up_by, give_up_by), else_=col(OwedRevocation.given_up_at)
    )
    claimed = (
        update(OwedRevocation)
        .where(col(OwedRevocation.id).in_(due), _is_due(now, give_up_by), _free())
        .values(next_attempt_at=until, given_up_at=given_up_at)
        .returning(OwedRevocation)
    )
    claim: OwedRevocation | None = await session.scalar(claimed, execution_options={"populate_existing": True})
    return claim


async def lease(session: AsyncSession, owed: OwedRevocation, *, seconds: float) -> bool:
    """The right to carry it out; False if it is not owed any more, or was postponed or claimed by another process."""
    same = (*_owned(owed.viewer_id, owed.id), col(OwedRevocation.next_attempt_at) == owed.next_attempt_at)
    leased = update(OwedRevocation).where(*same).values(lease_until=FromNow(seconds)).returning(col(OwedRevocation.id))
    return await session.scalar(leased, execution_options={"synchronize_session": False}) is not None


async def rotate(session: AsyncSession, viewer_id: str, revocation_id: UUID, **values: Any) -> bool:
    """The next pair of tokens ends the lease; False if it is not owed any more."""
    changed = update(OwedRevocation).where(*_owned(viewer_id, revocation_id))
    rotated = changed.values(lease_until=None, **values).returning(col(OwedRevocation.id))
    return await session.scalar(rotated) is not None


async def release(session: AsyncSession, viewer_id: str, revocation_id: UUID, *, next_attempt_at: datetime) -> None:
    """It stays owed, and waits behind the others."""
    values = {"lease_until": None, "next_attempt_at": next_attempt_at}
    await session.execute(update(OwedRevocation).where(*_owned(viewer_id, revocation_id)).values(**values))


async def settle(session: AsyncSession, viewer_id: str, revocation_id: UUID) -> None:
    await session.execute(delete(OwedRevocation).where(*_owned(viewer_id, revocation_id)))


async def postpone(session: AsyncSession, viewer_id: str, *, until: datetime) -> bool:
    """None of the viewer's begins before `until`; False while one is being carried out."""
    of_viewer = col(OwedRevocation.viewer_id) == viewer_id
    await session.execute(update(OwedRevocation).where(of_viewer, _free()).values(next_attempt_at=until))
    return await _none(session, of_viewer, ~_free())


async def cancel(session: AsyncSession, open_id: str) -> bool:
    """Nothing is owed for this TikTok account any more, whoever gave it up; False while that is being carried out."""
    same = select(col(Account.id)).where(
        col(Account.id) == col(OwedRevocation.account_id), col(Account.open_id) == open_id
    )
    await session.execute(delete(OwedRevocation).where(same.exists(), _free()))
    return await _none(session, same.exists())


def _is_due(now: datetime, give_up_by: datetime) -> ColumnElement[bool]:
    """Also what lies further ahead than it can: the longer it is owed, the later it may be."""
    next_attempt_at, given_up_at = col(OwedRevocation.next_attempt_at), col(OwedRevocation.given_up_at)
    young = [
        and_(given_up_at > give_up_by - owed_for, next_attempt_at > now + owed_for / 2 + LATE) for owed_for in AGES
    ]
    return or_(next_attempt_at <= now, next_attempt_at > now + LONGEST_RETRY + LATE, *young)


def _free() -> ColumnElement[bool]:
    return is_over(col(OwedRevocation.lease_until))


async def _none(session: AsyncSession, *where: ColumnElement[bool]) -> bool:
    return await session.scalar(select(col(OwedRevocation.id)).where(*where).limit(1)) is None


def _owned(viewer_id: str, revocation_id: UUID) -> tuple[Any, Any]:
    return col(OwedRevocation.viewer_id) == viewer_id, col(OwedRevocation.id) == revocation_id
