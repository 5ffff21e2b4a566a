"""Statements about sealed tokens: the only ones that load any."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.crypto import Place
from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.models import Account, AccountStatus, TokenPair


def place(account_id: UUID, column: str) -> Place:
    return Place(table=TokenPair.__tablename__, column=column, row=account_id)


async def find(session: AsyncSession, viewer_id: str, account_id: UUID) -> TokenPair | None:
    owned = select(TokenPair).where(*_owned(viewer_id, account_id))
    return (await session.scalars(owned, execution_options={"populate_existing": True})).one_or_none()


async def replace(session: AsyncSession, pair: TokenPair) -> None:
    """In place of whatever the account had."""
    await erase(session, pair.viewer_id, pair.account_id)
    await session.execute(insert(TokenPair).values(**pair.model_dump()))


async def rotate(session: AsyncSession, viewer_id: str, account_id: UUID, *, grant_id: UUID, **values: Any) -> bool:
    """The next grant's columns, if this grant is still the stored one; ends any lease."""
    current = (*_owned(viewer_id, account_id), col(TokenPair.grant_id) == grant_id)
    ended = {"grant_id": uuid7(), "lease_id": None, "lease_until": None, "attempted_at": None}
    rotated = update(TokenPair).where(*current).values(**values, **ended).returning(col(TokenPair.account_id))
    return await session.scalar(rotated) is not None


async def lease(session: AsyncSession, viewer_id: str, pair: TokenPair, *, lease_id: UUID, seconds: float) -> bool:
    """The right to renew this grant, for so long by the database's clock; it notes the attempt as well."""
    same = col(TokenPair.grant_id) == pair.grant_id
    known = col(TokenPair.attempted_at).is_not_distinct_from(pair.attempted_at)
    free = or_(col(TokenPair.lease_until).is_(None), col(TokenPair.lease_until) <= FromNow())
    taken = (
        update(TokenPair)
        .where(*_owned(viewer_id, pair.account_id), same, known, free)
        .values(lease_id=lease_id, lease_until=FromNow(seconds), attempted_at=FromNow())
        .returning(col(TokenPair.account_id))
    )
    return await session.scalar(taken, execution_options={"synchronize_session": False}) is not None


async def release(
    session: AsyncSession, viewer_id: str, account_id: UUID, *, lease_id: UUID, attempted_at: datetime | None
) -> None:
    """After a failure. `attempted_at` stays where nobody knows whether TikTok did it; None where it did not."""
    held = (*_owned(viewer_id, account_id), col(TokenPair.lease_id) == lease_id)
    values = {"lease_id": None, "lease_until": None, "attempted_at": attempted_at}
    await session.execute(update(TokenPair).where(*held).values(**values))


async def start_reading(
    session: AsyncSession, viewer_id: str, account_id: UUID, *, reading_id: UUID, seconds: float
) -> bool:
    """The right to read the account at TikTok, for so long; False while somebody else has it."""
    free = or_(col(TokenPair.reading_until).is_(None), col(TokenPair.reading_until) <= FromNow())
    taken = update(TokenPair).where(*_owned(viewer_id, account_id), free)
    taken = taken.values(reading_id=reading_id, reading_until=FromNow(seconds))
    options = {"synchronize_session": False}
    return await session.scalar(taken.returning(col(TokenPair.account_id)), execution_options=options) is not None


async def keep_reading(
    session: AsyncSession, viewer_id: str, account_id: UUID, *, reading_id: UUID, seconds: float
) -> bool:
    """That right for so long from now on; False if somebody else has it, for it ran out."""
    held = (*_owned(viewer_id, account_id), col(TokenPair.reading_id) == reading_id)
    kept = update(TokenPair).where(*held).values(reading_until=FromNow(seconds)).returning(col(TokenPair.account_id))
    return await session.scalar(kept, execution_options={"synchronize_session": False}) is not None


async def stop_reading(session: AsyncSession, viewer_id: str, account_id: UUID, reading_id: UUID) -> None:
    held = (*_owned(viewer_id, account_id), col(TokenPair.reading_id) == reading_id)
    stopped = update(TokenPair).where(*held).values(reading_id=None, reading_until=None)
    await session.execute(stopped, execution_options={"synchronize_session": False})


async def erase(session: AsyncSession, viewer_id: str, account_id: UUID) -> None:
    await session.execute(delete(TokenPair).where(*_owned(viewer_id, account_id)))


async def list_ending(
    session: AsyncSession, *, before: datetime, issued_before: datetime, limit: int
) -> Sequence[Account]:
    """Accounts of all viewers, for the schedule: active ones whose authorization ends soon and was not renewed lately."""
    statement = (
        select(Account)
        .join(TokenPair, col(TokenPair.account_id) == col(Account.id))
        .where(
            col(Account.disconnected_at).is_(None),
            col(Account.status) == AccountStatus.ACTIVE,
            col(Account.reauthorize_by) <= before,
            col(TokenPair.issued_at) <= issued_before,
        )
        .order_by(col(Account.reauthorize_by))
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


def _owned(viewer_id: str, account_id: UUID) -> tuple[Any, Any]:
    return col(TokenPair.viewer_id) == viewer_id, col(TokenPair.account_id) == account_id
