"""Statements about connection attempts: authorizations from their start to their callback."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, TypedDict, Unpack
from uuid import UUID

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.crypto import SecretLocation
from tiktok_accounts_gql.db.models import ConnectionAttempt
from tiktok_accounts_gql.db.viewer_locks import LockScope, lock_viewer


def verifier_location(attempt_id: UUID) -> SecretLocation:
    return SecretLocation(table=ConnectionAttempt.__tablename__, column="code_verifier", row=attempt_id)


def hash_browser(attempt_id: UUID, browser: str) -> bytes:
    """Return the hash of a browser's secret for one attempt, so that stored hashes do not link a browser's attempts."""
    return sha256(attempt_id.bytes + browser.encode()).digest()


async def add(session: AsyncSession, attempt: ConnectionAttempt) -> None:
    session.add(attempt)
    await session.flush()


async def delete_before(session: AsyncSession, viewer_id: str, time: datetime) -> None:
    """Delete the viewer's attempts that expired before `time`."""
    is_old = (col(ConnectionAttempt.viewer_id) == viewer_id, col(ConnectionAttempt.expires_at) < time)
    await session.execute(delete(ConnectionAttempt).where(*is_old))


async def delete_batch_before(session: AsyncSession, time: datetime, *, limit: int) -> int:
    """Delete up to `limit` attempts of all viewers that expired before `time`, and return how many."""
    expires_at, attempt_id = col(ConnectionAttempt.expires_at), col(ConnectionAttempt.id)
    old = select(attempt_id).where(expires_at < time).order_by(expires_at).limit(limit)
    result = await session.execute(
        delete(ConnectionAttempt).where(attempt_id.in_(old)), execution_options={"synchronize_session": False}
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


async def lock_started(session: AsyncSession, viewer_id: str, *, since: datetime) -> list[datetime]:
    """Return when the viewer's attempts since then were started, oldest first; no other can start in the meantime.

    The lock is held until the transaction ends.
    """
    await lock_viewer(session, viewer_id, LockScope.AUTHORIZATIONS)
    created_at = col(ConnectionAttempt.created_at)
    recent = select(created_at).where(col(ConnectionAttempt.viewer_id) == viewer_id, created_at > since)
    return list((await session.scalars(recent.order_by(created_at))).all())


async def find_by_state(session: AsyncSession, state_hash: bytes) -> ConnectionAttempt | None:
    statement = select(ConnectionAttempt).where(col(ConnectionAttempt.state_hash) == state_hash)
    return (await session.scalars(statement, execution_options={"populate_existing": True})).one_or_none()


async def bind_browser(
    session: AsyncSession, viewer_id: str, attempt_id: UUID, *, browser_hash: bytes, now: datetime, lifetime: timedelta
) -> bool:
    """Bind the attempt to this browser and return True; False if another browser has it, or if `mark_used` would fail."""
    current_hash = col(ConnectionAttempt.browser_hash)
    is_free = or_(current_hash.is_(None), current_hash == browser_hash)
    statement = (
        update(ConnectionAttempt)
        .where(*_is_owned(viewer_id, attempt_id), *_is_usable(now, lifetime), is_free)
        .values(browser_hash=browser_hash)
    )
    result = await session.execute(statement, execution_options={"synchronize_session": False})
    return int(result.rowcount) == 1  # type: ignore[attr-defined]


async def mark_used(
    session: AsyncSession, viewer_id: str, attempt_id: UUID, *, fingerprint: bytes, now: datetime, lifetime: timedelta
) -> ConnectionAttempt | None:
    """Use the attempt and return it; None if it is used already, or has expired.

    One that expires in more than a `lifetime` has expired as well: it was stored while a clock was ahead.
    """
    statement = (
        update(ConnectionAttempt)
        .where(*_is_owned(viewer_id, attempt_id), *_is_usable(now, lifetime))
        .values(used_at=now, fingerprint=fingerprint)
        .returning(ConnectionAttempt)
    )
    attempt: ConnectionAttempt | None = await session.scalar(statement, execution_options={"populate_existing": True})
    return attempt


class AttemptOutcome(TypedDict, total=False):
    """What became of an attempt: an error code, or the account that was connected."""

    error: str
    connected_account_id: UUID
    reconnected: bool


async def finish(session: AsyncSession, viewer_id: str, attempt_id: UUID, **outcome: Unpack[AttemptOutcome]) -> None:
    """Store the outcome, and delete the code verifier, which is not needed any more."""
    statement = update(ConnectionAttempt).where(*_is_owned(viewer_id, attempt_id))
    await session.execute(statement.values(code_verifier=None, **outcome))


def _is_usable(now: datetime, lifetime: timedelta) -> tuple[Any, Any, Any]:
    expires_at = col(ConnectionAttempt.expires_at)
    return col(ConnectionAttempt.used_at).is_(None), expires_at > now, expires_at <= now + lifetime


def _is_owned(viewer_id: str, attempt_id: UUID) -> tuple[Any, Any]:
    return col(ConnectionAttempt.viewer_id) == viewer_id, col(ConnectionAttempt.id) == attempt_id
