"""What a viewer does one after another, whichever process it asks."""

from enum import IntEnum

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


class About(IntEnum):
    """What a lock is about."""

    JOBS = 1
    AUTHORIZATIONS = 2


async def lock_viewer(session: AsyncSession, viewer_id: str, about: About) -> None:
    """Until the transaction ends. SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(viewer_id, int(about)))))
