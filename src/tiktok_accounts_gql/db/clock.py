"""The database's clock, for times that several machines must agree on: leases and due times."""

from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Double, cast, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from tiktok_accounts_gql.db.types import UtcDateTime


class FromNow(FunctionElement[Any]):
    """An SQL expression: the database's time in so many seconds."""

    type = UtcDateTime()
    inherit_cache = True  # the seconds are a parameter

    def __init__(self, seconds: float | BindParameter[float] = 0) -> None:
        super().__init__(cast(seconds, Double))


_NOW = select(FromNow())


async def now(session: AsyncSession) -> datetime:
    time: datetime = (await session.execute(_NOW)).scalar_one()
    return time


@compiles(FromNow, "postgresql")
def _postgresql(element: FromNow, compiler: Any, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"(clock_timestamp() + make_interval(secs => {seconds}))"


@compiles(FromNow, "sqlite")
def _sqlite(element: FromNow, compiler: Any, **options: Any) -> str:
    """Return the time as SQLAlchemy stores it on SQLite: text with microseconds and no time zone."""
    seconds = compiler.process(element.clauses, **options)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000')"
