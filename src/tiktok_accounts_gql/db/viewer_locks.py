"""Locks by which a viewer's transactions of one kind run one after another, in whichever process."""

from enum import IntEnum

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


class LockScope(IntEnum):
    """What a lock protects."""

    JOBS = 1
    AUTHORIZATIONS = 2


async def lock_viewer(session: AsyncSession, viewer_id: str, scope: LockScope) -> None:
    """Hold the lock until the transaction ends. SQLite needs none: it has one writer."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(viewer_id, int(scope)))))
