"""The database's clock, for what several machines must agree on: leases and what is due."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from tiktok_accounts_gql.db.types import UtcDateTime


class FromNow(FunctionElement[Any]):
    """The database's time, so many seconds from now."""

    type = UtcDateTime()
    inherit_cache = False  # the seconds are part of its text

    def __init__(self, seconds: float = 0) -> None:
        super().__init__()
        self.seconds = float(seconds)


async def now(session: AsyncSession) -> datetime:
    time: datetime = (await session.execute(select(FromNow()))).scalar_one()
    return time


@compiles(FromNow, "postgresql")
def _postgresql(element: FromNow, compiler: Any, **_: Any) -> str:
    del compiler
    return f"(clock_timestamp() + interval '{element.seconds} seconds')"


@compiles(FromNow, "sqlite")
def _sqlite(element: FromNow, compiler: Any, **_: Any) -> str:
    """As text, in the form in which SQLAlchemy stores times there: microseconds, no zone."""
    del compiler
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', '{element.seconds:+} seconds') || '000')"
