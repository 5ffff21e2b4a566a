"""The outbox of authorizations that are to be revoked at TikTok.

A process claims a revocation by moving its `next_attempt_at`: no other process takes it while this one waits for a quota
slot. It then acquires a lease, which says that TikTok is being called.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.crypto import SecretLocation
from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.models import Account, PendingRevocation
from tiktok_accounts_gql.db.token_pairs import is_lease_expired

CLAIM_DURATION = timedelta(minutes=2)  # longer than its calls and their quota slots take
MAX_RETRY_DELAY = timedelta(hours=6)
_CLOCK_MARGIN = CLAIM_DURATION + timedelta(minutes=1)  # two clocks differ
_AGES = (timedelta(minutes=2), timedelta(minutes=20), timedelta(hours=2))  # a retry comes after half of the age


def get_location(revocation_id: UUID, column: str) -> SecretLocation:
    return SecretLocation(table=PendingRevocation.__tablename__, column=column, row=revocation_id)


async def enqueue(session: AsyncSession, revocation: PendingRevocation) -> None:
    await session.execute(insert(PendingRevocation).values(**revocation.model_dump()))


async def claim_due(
    session: AsyncSession, *, now: datetime, until: datetime, latest_give_up: datetime
) -> PendingRevocation | None:
    """Claim a due revocation of any viewer until a time, and return it; None if none is due.

    `latest_give_up`: the latest time at which one can be given up. A later one was stored while a clock was ahead.
    """
    is_due = (_is_due(now, latest_give_up), _is_free())
    next_attempt_at, given_up_at = col(PendingRevocation.next_attempt_at), col(PendingRevocation.given_up_at)
    first = select(col(PendingRevocation.id)).where(*is_due).order_by(next_attempt_at).limit(1)
    first = first.with_for_update(key_share=True, skip_locked=True)
    new_given_up_at = case((given_up_at > latest_give_up, latest_give_up), else_=given_up_at)
    statement = (
        update(PendingRevocation)
        .where(col(PendingRevocation.id).in_(first), *is_due)
        .values(next_attempt_at=until, given_up_at=new_given_up_at)
        .returning(PendingRevocation)
    )
    revocation: PendingRevocation | None = await session.scalar(
        statement, execution_options={"populate_existing": True}
    )
    return revocation


async def acquire_lease(session: AsyncSession, revocation: PendingRevocation, *, seconds: float) -> bool:
    """Acquire the right to call TikTok. Return False if the revocation was canceled, postponed or claimed again."""
    is_claimed = col(PendingRevocation.next_attempt_at) == revocation.next_attempt_at
    statement = (
        update(PendingRevocation)
        .where(*_is_owned(revocation.viewer_id, revocation.id), is_claimed)
        .values(lease_until=FromNow(seconds))
        .returning(col(PendingRevocation.id))
    )
    return await session.scalar(statement, execution_options={"synchronize_session": False}) is not None


async def rotate(session: AsyncSession, viewer_id: str, revocation_id: UUID, **values: Any) -> bool:
    """Store the next pair of tokens and release the lease. Return False if the revocation was canceled."""
    statement = (
        update(PendingRevocation)
        .where(*_is_owned(viewer_id, revocation_id))
        .values(lease_until=None, **values)
        .returning(col(PendingRevocation.id))
    )
    return await session.scalar(statement) is not None


async def reschedule(session: AsyncSession, viewer_id: str, revocation_id: UUID, *, next_attempt_at: datetime) -> None:
    """Release the lease, and try again at a time."""
    values = {"lease_until": None, "next_attempt_at": next_attempt_at}
    await session.execute(update(PendingRevocation).where(*_is_owned(viewer_id, revocation_id)).values(**values))


async def remove(session: AsyncSession, viewer_id: str, revocation_id: UUID) -> None:
    """Delete a revocation that is done, or given up."""
    await session.execute(delete(PendingRevocation).where(*_is_owned(viewer_id, revocation_id)))


async def postpone(session: AsyncSession, viewer_id: str, *, until: datetime) -> bool:
    """Start none of the viewer's revocations before a time. Return False while one has a lease."""
    is_of_viewer = col(PendingRevocation.viewer_id) == viewer_id
    await session.execute(update(PendingRevocation).where(is_of_viewer, _is_free()).values(next_attempt_at=until))
    return await _has_none(session, is_of_viewer, ~_is_free())


async def cancel(session: AsyncSession, open_id: str) -> bool:
    """Delete the revocations for a TikTok account, of any viewer. Return False while one has a lease."""
    account_ids = select(col(Account.id)).where(
        col(Account.id) == col(PendingRevocation.account_id), col(Account.open_id) == open_id
    )
    await session.execute(delete(PendingRevocation).where(account_ids.exists(), _is_free()))
    return await _has_none(session, account_ids.exists())


def _is_due(now: datetime, latest_give_up: datetime) -> ColumnElement[bool]:
    """Return the condition for a due revocation, or one that is scheduled further ahead than its age allows.

    The older a revocation is, the later its next attempt may be. A later one was stored while a clock was ahead.
    """
    next_attempt_at, given_up_at = col(PendingRevocation.next_attempt_at), col(PendingRevocation.given_up_at)
    is_too_late = [
        and_(given_up_at > latest_give_up - age, next_attempt_at > now + age / 2 + _CLOCK_MARGIN) for age in _AGES
    ]
    return or_(next_attempt_at <= now, next_attempt_at > now + MAX_RETRY_DELAY + _CLOCK_MARGIN, *is_too_late)


def _is_free() -> ColumnElement[bool]:
    return is_lease_expired(col(PendingRevocation.lease_until))


async def _has_none(session: AsyncSession, *conditions: ColumnElement[bool]) -> bool:
    return await session.scalar(select(col(PendingRevocation.id)).where(*conditions).limit(1)) is None


def _is_owned(viewer_id: str, revocation_id: UUID) -> tuple[Any, Any]:
    return col(PendingRevocation.viewer_id) == viewer_id, col(PendingRevocation.id) == revocation_id
