"""What a transaction writes at its end: in bulk, however often and wherever in it that was asked for."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncSession

from tiktok_accounts_gql.db.prepared import Prepared, Statement
from tiktok_accounts_gql.db.threaded import ThreadedConnection

T = TypeVar("T")
Write = Callable[[AsyncSession, Sequence[T]], Awaitable[None]]
Values = Mapping[str, Any]

_WORK, _ROWS = "work at its end", "rows at its end"
_MOST_STATEMENTS = 100


def at_end(session: AsyncSession, write: Write[T], items: Iterable[T]) -> None:
    """`write` gets all of its items at once, in the order in which they came; nothing if the transaction is undone.

    Raises KeyError outside of `Database.transaction()`: nothing has an end there, and it would be lost.
    """
    works: dict[Write[Any], list[Any]] = session.info[_WORK]
    works.setdefault(write, []).extend(items)


def write_at_end(session: AsyncSession, statement: Statement, rows: Iterable[Values]) -> None:
    """One execution for all rows, after all else; statements in the order in which they came. Raises as `at_end` does.

    `statement` is about a table, lives as long as the process and has a parameter for every value.
    """
    written: dict[Statement, list[Values]] = session.info[_ROWS]
    if added := list(rows):
        written.setdefault(statement, []).extend(added)


def begin_ends(session: AsyncSession) -> None:
    """From now on, what the session's transaction leaves to its end is collected."""
    session.info.update({_WORK: {}, _ROWS: {}})


async def write_ends(session: AsyncSession) -> None:
    """Right before the commit, what was left to it.

    The latest kind of work comes first: counting a job may end it, and that is one more event.
    """
    works: dict[Write[Any], list[Any]] = session.info[_WORK]
    written: dict[Statement, list[Values]] = session.info[_ROWS]
    while works:
        write, items = works.popitem()
        await write(session, items)
    if session.new or session.dirty or session.deleted:
        await session.flush()  # SQLite commits with the rows
    if written:
        await _write(session, written)
    del session.info[_WORK], session.info[_ROWS]


async def _write(session: AsyncSession, written: Mapping[Statement, Sequence[Values]]) -> None:
    """On SQLite at one go with the commit: whoever else writes waits until it is over."""
    connection = await session.connection()
    driver: Any = (await connection.get_raw_connection()).driver_connection
    if isinstance(driver, ThreadedConnection):
        prepared = [(_prepared(statement, connection.dialect), rows) for statement, rows in written.items()]
        await driver.write_and_commit((one.text, [one.parameters(row) for row in rows]) for one, rows in prepared)
        return
    for statement, rows in written.items():
        await connection.execute(statement, rows)


@lru_cache(_MOST_STATEMENTS)
def _prepared(statement: Statement, dialect: Dialect) -> Prepared:
    return Prepared(statement, dialect)
