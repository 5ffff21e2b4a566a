"""Statements about sealed tokens, and the leases on them. No other module loads tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, delete, insert, not_, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.crypto import SecretLocation
from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.models import Account, AccountStatus, TokenPair
from tiktok_accounts_gql.db.tables import table_of
from tiktok_accounts_gql.db.unit_of_work import defer_rows

MAX_LEASE_SECONDS = 180  # of any kind: two calls of 60 s, the longest time-out that can be set, and a margin
_CLOCK_TOLERANCE_SECONDS = 60  # a time that is further ahead was stored while a clock was ahead


def get_location(account_id: UUID, column: str) -> SecretLocation:
    return SecretLocation(table=TokenPair.__tablename__, column=column, row=account_id)


async def find(session: AsyncSession, viewer_id: str, account_id: UUID) -> TokenPair | None:
    statement = select(TokenPair).where(*_is_owned(viewer_id, account_id))
    return (await session.scalars(statement, execution_options={"populate_existing": True})).one_or_none()


async def replace(session: AsyncSession, pair: TokenPair) -> None:
    """Store an account's tokens in place of any that it had."""
    await erase(session, pair.viewer_id, pair.account_id)
    await session.execute(insert(TokenPair).values(**pair.model_dump()))


async def rotate(session: AsyncSession, viewer_id: str, account_id: UUID, *, grant_id: UUID, **values: Any) -> bool:
    """Store the next grant and release any refresh lease. Return False if `grant_id` is not the stored grant any more."""
    is_current = (*_is_owned(viewer_id, account_id), col(TokenPair.grant_id) == grant_id)
    lease_columns = {"grant_id": uuid7(), "lease_id": None, "lease_until": None, "attempted_at": None}
    statement = update(TokenPair).where(*is_current).values(**values, **lease_columns)
    return await session.scalar(statement.returning(col(TokenPair.account_id))) is not None


async def acquire_refresh_lease(
    session: AsyncSession, viewer_id: str, pair: TokenPair, *, lease_id: UUID, seconds: float
) -> bool:
    """Acquire the right to refresh this grant, by the database's clock, and record the attempt.

    Return False if another process has it, or if the grant or its last attempt is not the one that was read.
    """
    is_same_grant = col(TokenPair.grant_id) == pair.grant_id
    is_same_attempt = col(TokenPair.attempted_at).is_not_distinct_from(pair.attempted_at)
    is_free = is_lease_expired(col(TokenPair.lease_until))
    statement = (
        update(TokenPair)
        .where(*_is_owned(viewer_id, pair.account_id), is_same_grant, is_same_attempt, is_free)
        .values(lease_id=lease_id, lease_until=FromNow(seconds), attempted_at=FromNow())
        .returning(col(TokenPair.account_id))
    )
    return await session.scalar(statement, execution_options={"synchronize_session": False}) is not None


async def has_refresh_lease(session: AsyncSession, viewer_id: str, account_id: UUID) -> bool:
    """Return whether a process is refreshing the account's grant."""
    is_leased = not_(is_lease_expired(col(TokenPair.lease_until)))
    statement = select(col(TokenPair.account_id)).where(*_is_owned(viewer_id, account_id), is_leased)
    return await session.scalar(statement) is not None


async def release_refresh_lease(
    session: AsyncSession, viewer_id: str, account_id: UUID, *, lease_id: UUID, attempted_at: datetime | None
) -> None:
    """Release the lease after a failure.

    `attempted_at`: the attempt, if it is unknown whether TikTok has rotated the tokens; None if TikTok has not.
    """
    is_held = (*_is_owned(viewer_id, account_id), col(TokenPair.lease_id) == lease_id)
    values = {"lease_id": None, "lease_until": None, "attempted_at": attempted_at}
    await session.execute(update(TokenPair).where(*is_held).values(**values))


async def extend_refresh_lease(
    session: AsyncSession, viewer_id: str, account_id: UUID, *, lease_id: UUID, seconds: float
) -> None:
    """Extend the lease to `seconds` from now, if it is still held."""
    is_held = (*_is_owned(viewer_id, account_id), col(TokenPair.lease_id) == lease_id)
    await session.execute(update(TokenPair).where(*is_held).values(lease_until=FromNow(seconds)))


async def return_refresh_lease(
    session: AsyncSession, viewer_id: str, pair: TokenPair, *, lease_id: UUID, seconds: float
) -> None:
    """Return the lease to its previous holder, whose outcome is unknown: for `seconds` no process can acquire it."""
    is_held = (*_is_owned(viewer_id, pair.account_id), col(TokenPair.lease_id) == lease_id)
    values = {"lease_id": None, "lease_until": FromNow(seconds), "attempted_at": pair.attempted_at}
    await session.execute(update(TokenPair).where(*is_held).values(**values))


async def acquire_sync_lease(
    session: AsyncSession, viewer_id: str, account_id: UUID, *, sync_lease_id: UUID, seconds: float
) -> bool:
    """Acquire the right to sync the account. Return False while another process has it."""
    values = {"of_viewer": viewer_id, "of_account": account_id, "reading": sync_lease_id, "seconds": seconds}
    return await session.scalar(_ACQUIRE_SYNC_LEASE, values) is not None


async def extend_sync_lease(
    session: AsyncSession, viewer_id: str, account_id: UUID, *, sync_lease_id: UUID, seconds: float
) -> bool:
    """Extend the lease to `seconds` from now. Return False if it has expired and another process has it."""
    values = {"of_viewer": viewer_id, "of_account": account_id, "reading": sync_lease_id, "seconds": seconds}
    return await session.scalar(_EXTEND_SYNC_LEASE, values) is not None


def release_sync_lease(session: AsyncSession, viewer_id: str, account_id: UUID, sync_lease_id: UUID) -> None:
    """Release the lease when the transaction commits."""
    values = {"of_viewer": viewer_id, "of_account": account_id, "reading": sync_lease_id}
    defer_rows(session, _RELEASE_SYNC_LEASE, [values])


async def erase(session: AsyncSession, viewer_id: str, account_id: UUID) -> None:
    await session.execute(delete(TokenPair).where(*_is_owned(viewer_id, account_id)))


async def list_ending(
    session: AsyncSession, *, before: datetime, issued_before: datetime, after: Account | None, limit: int
) -> Sequence[Account]:
    """Return active accounts of all viewers whose authorization ends before `before`, in the order of their end.

    Grants that were issued after `issued_before` are left out. If `after` is given, only accounts behind it are returned.
    """
    end = col(Account.reauthorize_by)
    is_behind = (
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
            *is_behind,
            or_(
                col(TokenPair.issued_at) <= issued_before, col(TokenPair.issued_at) > FromNow(_CLOCK_TOLERANCE_SECONDS)
            ),
        )
        .order_by(end, col(Account.id))
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


def is_lease_expired(until: Any) -> ColumnElement[bool]:
    """Return the condition that a lease has ended, or ends later than any can: it was acquired while a clock was ahead."""
    return or_(until.is_(None), until <= FromNow(), until > FromNow(MAX_LEASE_SECONDS))


def _is_owned(viewer_id: str, account_id: UUID) -> tuple[Any, Any]:
    return col(TokenPair.viewer_id) == viewer_id, col(TokenPair.account_id) == account_id


_pairs = table_of(TokenPair)
_is_of_account = (_pairs.c.viewer_id == bindparam("of_viewer"), _pairs.c.account_id == bindparam("of_account"))
_update_own_lease = update(_pairs).where(*_is_of_account, _pairs.c.reading_id == bindparam("reading"))
_LEASE_END = FromNow(bindparam("seconds"))
_ACQUIRE_SYNC_LEASE = (
    update(_pairs)
    .where(*_is_of_account, is_lease_expired(_pairs.c.reading_until))
    .values(reading_id=bindparam("reading"), reading_until=_LEASE_END)
    .returning(_pairs.c.account_id)
)
_EXTEND_SYNC_LEASE = _update_own_lease.values(reading_until=_LEASE_END).returning(_pairs.c.account_id)
_RELEASE_SYNC_LEASE = _update_own_lease.values(reading_id=null(), reading_until=null())
