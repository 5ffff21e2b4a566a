"""Statements about connection attempts."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.crypto import Place
from tiktok_accounts_gql.db.models import ConnectionAttempt
from tiktok_accounts_gql.db.viewer_locks import About, lock_viewer


def verifier_place(attempt_id: UUID) -> Place:
    return Place(table=ConnectionAttempt.__tablename__, column="code_verifier", row=attempt_id)


def hash_browser(attempt_id: UUID, browser: str) -> bytes:
    """Of a browser's secret, another one for each attempt: what is stored does not tell which attempts are one browser's."""
    return sha256(attempt_id.bytes + browser.encode()).digest()


async def add(session: AsyncSession, attempt: ConnectionAttempt) -> None:
    session.add(attempt)
    await session.flush()


async def forget_before(session: AsyncSession, viewer_id: str, time: datetime) -> None:
    old = (col(ConnectionAttempt.viewer_id) == viewer_id, col(ConnectionAttempt.expires_at) < time)
    await session.execute(delete(ConnectionAttempt).where(*old))


async def forget_some(session: AsyncSession, time: datetime, *, limit: int) -> int:
    """So many attempts of all viewers at most that expired earlier; how many there were."""
    expires_at, own_id = col(ConnectionAttempt.expires_at), col(ConnectionAttempt.id)
    old = select(own_id).where(expires_at < time).order_by(expires_at).limit(limit)
    forgotten = await session.execute(
        delete(ConnectionAttempt).where(own_id.in_(old)), execution_options={"synchronize_session": False}
    )
    return int(forgotten.rowcount)  # type: ignore[attr-defined]


async def lock_started(session: AsyncSession, viewer_id: str, *, since: datetime) -> list[datetime]:
    """When the viewer's attempts since then were started, oldest first; no other one begins until the transaction ends."""
    await lock_viewer(session, viewer_id, About.AUTHORIZATIONS)
    created_at = col(ConnectionAttempt.created_at)
    recent = select(created_at).where(col(ConnectionAttempt.viewer_id) == viewer_id, created_at > since)
    return list((await session.scalars(recent.order_by(created_at))).all())


async def find_by_state(session: AsyncSession, state_hash: bytes) -> ConnectionAttempt | None:
    statement = select(ConnectionAttempt).where(col(ConnectionAttempt.state_hash) == state_hash)
    return (await session.scalars(statement, execution_options={"populate_existing": True})).one_or_none()


async def bind(
    session: AsyncSession, viewer_id: str, attempt_id: UUID, *, browser_hash: bytes, now: datetime, lifetime: timedelta
) -> bool:
    """Whether the attempt is this browser's: the first one has it. Neither if it is used, or too old as in `use`."""
    whose = col(ConnectionAttempt.browser_hash)
    free = or_(whose.is_(None), whose == browser_hash)
    bound = (
        update(ConnectionAttempt)
        .where(*_owned(viewer_id, attempt_id), *_usable(now, lifetime), free)
        .values(browser_hash=browser_hash)
    )
    done = await session.execute(bound, execution_options={"synchronize_session": False})
    return int(done.rowcount) == 1  # type: ignore[attr-defined]


async def use(
    session: AsyncSession, viewer_id: str, attempt_id: UUID, *, fingerprint: bytes, now: datetime, lifetime: timedelta
) -> ConnectionAttempt | None:
    """The attempt, if it is not used yet and not too old; nobody else can use it from then on.

    One that expires later than after a `lifetime` is too old as well: the clock was ahead when it began.
    """
    used = (
        update(ConnectionAttempt)
        .where(*_owned(viewer_id, attempt_id), *_usable(now, lifetime))
        .values(used_at=now, fingerprint=fingerprint)
        .returning(ConnectionAttempt)
    )
    attempt: ConnectionAttempt | None = await session.scalar(used, execution_options={"populate_existing": True})
    return attempt


async def end(session: AsyncSession, viewer_id: str, attempt_id: UUID, **outcome: Any) -> None:
    """What came of it; its verifier has served."""
    statement = update(ConnectionAttempt).where(*_owned(viewer_id, attempt_id))
    await session.execute(statement.values(code_verifier=None, **outcome))


def _usable(now: datetime, lifetime: timedelta) -> tuple[Any, Any, Any]:
    expires_at = col(ConnectionAttempt.expires_at)
    return col(ConnectionAttempt.used_at).is_(None), expires_at > now, expires_at <= now + lifetime


def _owned(viewer_id: str, attempt_id: UUID) -> tuple[Any, Any]:
    return col(ConnectionAttempt.viewer_id) == viewer_id, col(ConnectionAttempt.id) == attempt_id
