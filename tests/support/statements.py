"""Recording of the statements that a process sends to its databases."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tiktok_accounts_gql.db.compiled_statement import CompiledStatement
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.sqlite_thread import SqliteThreadConnection


class Statements(list[str]):
    """Statements in the order in which they were sent."""

    def reads_of(self, table: str) -> int:
        return sum(1 for text in self if text.startswith("SELECT") and re.search(rf"\bFROM {table}\b", text))

    def writes_of(self, table: str) -> int:
        return sum(1 for text in self if re.match(rf"(INSERT INTO|UPDATE|DELETE FROM) {table}\b", text))


@contextmanager
def listening_to_statements(listen: Callable[[str, Any], None], only: Database | None = None) -> Iterator[None]:
    """Call `listen` with each statement and its parameters before it is sent, also those that bypass the engines.

    `only`: leave out the statements that background tasks send to other databases.
    """
    pools = [engine.sync_engine.pool for engine in only.engines] if only else []

    def report(db: Database | None, text: str, parameters: Any) -> None:
        if only is None or db is only:
            listen(text, parameters)

    def report_execution(connection: Any, _cursor: Any, text: str, parameters: Any, *_: Any) -> None:
        report(only if connection.engine.pool in pools else None, text, parameters)

    fetch, fetch_in_chunks, insert = Database.fetch, Database.fetch_in_chunks, Database.insert
    write_and_commit = SqliteThreadConnection.write_and_commit

    async def reported_fetch(self: Database, statement: CompiledStatement, values: Any) -> list[Any]:
        report(self, statement.text, statement.parameters(values))
        return await fetch(self, statement, values)

    async def reported_fetch_in_chunks(self: Database, statement: CompiledStatement, values: Any) -> list[Any]:
        report(self, statement.text, statement.parameters(values))
        return await fetch_in_chunks(self, statement, values)

    async def reported_insert(self: Database, statement: CompiledStatement, get_rows: Callable[[], Any]) -> None:
        def report_rows() -> Any:
            rows = get_rows()
            report(self, statement.text, [statement.parameters(row) for row in rows])
            return rows

        await insert(self, statement, report_rows)

    async def reported_write(self: SqliteThreadConnection, executions: Sequence[tuple[str, Any]]) -> None:
        for text, rows in executions:
            report(None, text, rows)  # a connection does not know its database
        await write_and_commit(self, executions)

    event.listen(Engine, "before_cursor_execute", report_execution)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "fetch", reported_fetch)
        patch.setattr(Database, "fetch_in_chunks", reported_fetch_in_chunks)
        patch.setattr(Database, "insert", reported_insert)
        patch.setattr(SqliteThreadConnection, "write_and_commit", reported_write)
        try:
            yield
        finally:
            event.remove(Engine, "before_cursor_execute", report_execution)


@contextmanager
def recorded_statements(only: Database | None = None) -> Iterator[list[tuple[str, Any]]]:
    """Record statements with their parameters; `only` as in `listening_to_statements`."""
    statements: list[tuple[str, Any]] = []
    with listening_to_statements(lambda text, parameters: statements.append((text, parameters)), only):
        yield statements


@contextmanager
def counted_statements() -> Iterator[Statements]:
    """Record statements; the result is filled when the block ends."""
    statements = Statements()
    with recorded_statements() as records:
        yield statements
    statements.extend(text for text, _ in records)
