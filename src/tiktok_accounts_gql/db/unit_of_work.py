"""What a transaction writes right before its commit: collected on the session, and flushed in one fixed order.

1. The callbacks of each `FlushStep`, in the order of its members. A callback may defer work to a later step.
2. Objects that were added to the session.
3. Rows, by one execution for each statement, in the order in which the statements were first deferred.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from tiktok_accounts_gql.db.compiled_statement import CompiledStatement, Statement
from tiktok_accounts_gql.db.sqlite_thread import SqliteThreadConnection

T = TypeVar("T")
Callback = Callable[[AsyncSession, Sequence[T]], Awaitable[None]]
Values = Mapping[str, Any]

_KEY = "unit of work"  # in `AsyncSession.info`
_MAX_COMPILED = 100


_compile = lru_cache(_MAX_COMPILED)(CompiledStatement)


class FlushStep(IntEnum):
    """The steps of a flush: ending results changes a job's counts, and changed counts are an event."""

    SYNC_RESULTS = 1
    JOB_COUNTS = 2
    EVENTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnitOfWork:
    """The work that a transaction has deferred to its end; a step is removed when it is flushed."""

    steps: dict[FlushStep, dict[Callback[Any], list[Any]]] = field(
        default_factory=lambda: {step: {} for step in FlushStep}
    )
    rows: dict[Statement, list[Values]] = field(default_factory=dict)


def defer(session: AsyncSession, step: FlushStep, callback: Callback[T], items: Iterable[T]) -> None:
    """Call `callback` once before the commit, with all items that were deferred for it, in that order.

    Nothing is called if the transaction is rolled back. Raises KeyError outside of `Database.transaction()`, and for a
    step that is flushed already: the items would be lost.
    """
    unit: _UnitOfWork = session.info[_KEY]
    unit.steps[step].setdefault(callback, []).extend(items)


def defer_rows(session: AsyncSession, statement: Statement, rows: Iterable[Values]) -> None:
    """Execute `statement` once before the commit, for all rows that were deferred for it. Raises as `defer` does.

    The statement is about a table, lives as long as the process and has a parameter for every value.
    """
    unit: _UnitOfWork = session.info[_KEY]
    if new_rows := list(rows):
        unit.rows.setdefault(statement, []).extend(new_rows)


def begin_unit_of_work(session: AsyncSession) -> None:
    """Collect from now on what the session's transaction defers."""
    session.info[_KEY] = _UnitOfWork()


async def flush_unit_of_work(session: AsyncSession) -> None:
    """Write what was deferred. On SQLite this commits too, if there are rows."""
    unit: _UnitOfWork = session.info[_KEY]
    for step in FlushStep:
        for callback, items in unit.steps.pop(step).items():
            await callback(session, items)
    if session.new or session.dirty or session.deleted:
        await session.flush()  # before the rows, with which SQLite commits
    if unit.rows:
        await _execute_rows(session, unit.rows)
    del session.info[_KEY]


async def _execute_rows(session: AsyncSession, rows: Mapping[Statement, Sequence[Values]]) -> None:
    """Execute all statements; on SQLite together with the commit, because every other writer waits meanwhile."""
    connection = await session.connection()
    driver_connection: Any = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver_connection, SqliteThreadConnection):
        for statement, values in rows.items():
            await connection.execute(statement, values)
        return
    executions = []
    for statement, values in rows.items():
        compiled = _compile(statement, connection.dialect)
        executions.append((compiled.text, [compiled.parameters(row) for row in values]))
    await driver_connection.write_and_commit(executions)
