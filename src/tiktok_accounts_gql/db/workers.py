"""Statements about the worker processes that execute jobs."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.models import Worker

LONG_DEAD = timedelta(days=1)
CLOCK_TOLERANCE_SECONDS = 5  # all times are by the database's own clock


async def record_heartbeat(session: AsyncSession, executor_id: str) -> None:
    """Set when the worker was last seen to now.

    The same is set for workers that were seen in the future, when the clock was ahead: they may be dead.
    """
    future_workers = (
        update(Worker).where(col(Worker.seen_at) > FromNow(CLOCK_TOLERANCE_SECONDS)).values(seen_at=FromNow())
    )
    await session.execute(future_workers, execution_options={"synchronize_session": False})
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(Worker)
    seen = insert.values(executor_id=executor_id, seen_at=FromNow())
    await session.execute(seen.on_conflict_do_update(index_elements=["executor_id"], set_={"seen_at": FromNow()}))


async def list_dead(session: AsyncSession, *, unseen_for: timedelta) -> Sequence[str]:
    """Return the executor ids of workers that were not seen for `unseen_for`."""
    dead = select(col(Worker.executor_id)).where(col(Worker.seen_at) < FromNow(-unseen_for.total_seconds()))
    return (await session.scalars(dead)).all()


async def retire(session: AsyncSession, executor_id: str) -> None:
    """Mark the worker as dead, so that its unfinished jobs are taken over at once."""
    retired = update(Worker).where(col(Worker.executor_id) == executor_id)
    await session.execute(retired.values(seen_at=FromNow(-LONG_DEAD.total_seconds())))


async def remove(session: AsyncSession, executor_id: str) -> None:
    await session.execute(delete(Worker).where(col(Worker.executor_id) == executor_id))
