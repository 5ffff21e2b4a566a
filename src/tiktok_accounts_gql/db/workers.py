"""Statements about the processes that work on jobs."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.models import Worker

LONG_AGO = timedelta(days=1)
FUTURE_SECONDS = 5  # all are by the database's own clock


async def beat(session: AsyncSession, executor_id: str) -> None:
    """Sees this one now, and with it whoever was seen in the future, for the clock was ahead: they may be dead."""
    ahead = update(Worker).where(col(Worker.seen_at) > FromNow(FUTURE_SECONDS)).values(seen_at=FromNow())
    await session.execute(ahead, execution_options={"synchronize_session": False})
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(Worker)
    seen = insert.values(executor_id=executor_id, seen_at=FromNow())
    await session.execute(seen.on_conflict_do_update(index_elements=["executor_id"], set_={"seen_at": FromNow()}))


async def list_dead(session: AsyncSession, *, unseen_for: timedelta) -> Sequence[str]:
    """Those that were not seen for so long."""
    dead = select(col(Worker.executor_id)).where(col(Worker.seen_at) < FromNow(-unseen_for.total_seconds()))
    return (await session.scalars(dead)).all()


async def retire(session: AsyncSession, executor_id: str) -> None:
    """As if it were dead for long: what it leaves behind is taken over at once."""
    retired = update(Worker).where(col(Worker.executor_id) == executor_id)
    await session.execute(retired.values(seen_at=FromNow(-LONG_AGO.total_seconds())))


async def forget(session: AsyncSession, executor_id: str) -> None:
    await session.execute(delete(Worker).where(col(Worker.executor_id) == executor_id))
