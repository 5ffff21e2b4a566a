"""Statements about sealed tokens: the only ones that load any."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, delete, insert, not_, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.crypto import Place
from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.closing import write_at_end
from tiktok_accounts_gql.db.models import Account, AccountStatus, TokenPair
from tiktok_accounts_gql.db.tables import table_of

LONGEST_LEASE_SECONDS = 180  # of any kind: two calls of 60 s, the longest time-out that can be set, and a margin
FUTURE_SECONDS = 60  # more than two clocks differ: what was stored later than that was stored by a clock that was ahead


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
    taken = (
        update(TokenPair)
        .where(*_owned(viewer_id, pair.account_id), same, known, is_over(col(TokenPair.lease_until)))
        .values(lease_id=lease_id, lease_until=FromNow(seconds), attempted_at=FromNow())
        .returning(col(TokenPair.account_id))
    )
    return await session.scalar(taken, execution_options={"synchronize_session": False}) is not None


async def is_leased(session: AsyncSession, viewer_id: str, account_id: UUID) -> bool:
    """Whether somebody renews the account's grant at this moment."""
    leased = select(col(TokenPair.account_id)).where(
        *_owned(viewer_id, account_id), not_(is_over(col(TokenPair.lease_until)))
    )
    return await session.scalar(leased) is not None


async def release(
    session: AsyncSession, viewer_id: str, account_id: UUID, *, lease_id: UUID, attempted_at: datetime | None
) -> None:
    """After a failure. `attempted_at` stays where nobody knows whether TikTok did it; None where it did not."""
    held = (*_owned(viewer_id, account_id), col(TokenPair.lease_id) == lease_id)
    values = {"lease_id": None, "lease_until": None, "attempted_at": attempted_at}
    await session.execute(update(TokenPair).where(*held).values(**values))


async def extend_lease(
    session: AsyncSession, viewer_id: str, account_id: UUID, *, lease_id: UUID, seconds: float
) -> None:
    """From now on, unless somebody else has it."""
    held = (*_owned(viewer_id, account_id), col(TokenPair.lease_id) == lease_id)
    await session.execute(update(TokenPair).where(*held).values(lease_until=FromNow(seconds)))


async def leave(session: AsyncSession, viewer_id: str, pair: TokenPair, *, lease_id: UUID, seconds: float) -> None:
    """Gives a lease up in favour of whoever held it before and never told the outcome: for so long nobody takes it."""
    held = (*_owned(viewer_id, pair.account_id), col(TokenPair.lease_id) == lease_id)
    values = {"lease_id": None, "lease_until": FromNow(seconds), "attempted_at": pair.attempted_at}
    await session.execute(update(TokenPair).where(*held).values(**values))


async def start_reading(
    session: AsyncSession, viewer_id: str, account_id: UUID, *, reading_id: UUID, seconds: float
) -> bool:
    """The right to read the account at TikTok, for so long; False while somebody else has it."""
    values = {"of_viewer": viewer_id, "of_account": account_id, "reading": reading_id, "seconds": seconds}
    return await session.scalar(_START_READING, values) is not None


async def keep_reading(
    session: AsyncSession, viewer_id: str, account_id: UUID, *, reading_id: UUID, seconds: float
) -> bool:
    """That right for so long from now on; False if somebody else has it, for it ran out."""
    values = {"of_viewer": viewer_id, "of_account": account_id, "reading": reading_id, "seconds": seconds}
    return await session.scalar(_KEEP_READING, values) is not None


def stop_reading(session: AsyncSession, viewer_id: str, account_id: UUID, reading_id: UUID) -> None:
    """At the end of the session's transaction."""
    values = {"of_viewer": viewer_id, "of_account": account_id, "reading": reading_id}
    write_at_end(session, _STOP_READING, [values])


async def erase(session: AsyncSession, viewer_id: str, account_id: UUID) -> None:
    await session.execute(delete(TokenPair).where(*_owned(viewer_id, account_id)))


async def list_ending(
    session: AsyncSession, *, before: datetime, issued_before: datetime, after: Account | None, limit: int
) -> Sequence[Account]:
    """Accounts of all viewers, for the schedule: active ones whose authorization ends soon and was not renewed lately.

    In the order of their end; those behind `after` if it is given.
    """
    end = col(Account.reauthorize_by)
    behind = (
        ()
        if after is None
        else (end >= after.reauthorize_by, or_(end > after.reauthorize_by, col(Account.id) > after.id))
    )
    statement = (
        select(Account)
        .join(TokenPair, col(TokenPair.account_id) == col(Account.id))
        .where(
            col(Account.disconnected_at).is_(None),
            col(Account.status) == AccountStatus.ACTIVE,
            end <= before,
            *behind,
            or_(col(TokenPair.issued_at) <= issued_before, col(TokenPair.issued_at) > FromNow(FUTURE_SECONDS)),
        )
        .order_by(end, col(Account.id))
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


def is_over(until: Any) -> ColumnElement[bool]:
    """Of a lease. One that lasts longer than any can was taken while the clock was ahead."""
    return or_(until.is_(None), until <= FromNow(), until > FromNow(LONGEST_LEASE_SECONDS))


def _owned(viewer_id: str, account_id: UUID) -> tuple[Any, Any]:
    return col(TokenPair.viewer_id) == viewer_id, col(TokenPair.account_id) == account_id


_pairs = table_of(TokenPair)
_own_pair = (_pairs.c.viewer_id == bindparam("of_viewer"), _pairs.c.account_id == bindparam("of_account"))
_own_reading = update(_pairs).where(*_own_pair, _pairs.c.reading_id == bindparam("reading"))
_END = FromNow(bindparam("seconds"))
_START_READING = (
    update(_pairs)
    .where(*_own_pair, is_over(_pairs.c.reading_until))
    .values(reading_id=bindparam("reading"), reading_until=_END)
    .returning(_pairs.c.account_id)
)
_KEEP_READING = _own_reading.values(reading_until=_END).returning(_pairs.c.account_id)
_STOP_READING = _own_reading.values(reading_id=null(), reading_until=null())
