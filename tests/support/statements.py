"""Which statements a process sends to its databases."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.prepared import Prepared
from tiktok_accounts_gql.db.threaded import ThreadedConnection


class Statements(list[str]):
    """In the order sent."""

    def reads_of(self, table: str) -> int:
        return sum(1 for one in self if one.startswith("SELECT") and re.search(rf"\bFROM {table}\b", one))

    def writes_of(self, table: str) -> int:
        return sum(1 for one in self if re.match(rf"(INSERT INTO|UPDATE|DELETE FROM) {table}\b", one))


@contextmanager
def told(listen: Callable[[str, Any], None], only: Database | None = None) -> Iterator[None]:
    """Of each statement and its parameters, before it is sent; what is prepared goes around the engine.

    `only`: leaves out what this process' background sends to other databases meanwhile.
    """
    pools = [engine.sync_engine.pool for engine in only.engines] if only else []

    def hear(db: Database | None, statement: str, parameters: Any) -> None:
        if only is None or db is only:
            listen(statement, parameters)

    def engine(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        hear(only if connection.engine.pool in pools else None, statement, parameters)

    fetch, fetch_many, append = Database.fetch, Database.fetch_many, Database.append
    write = ThreadedConnection.write_and_commit

    async def fetch_told(self: Database, prepared: Prepared, values: Any) -> list[Any]:
        hear(self, prepared.text, prepared.parameters(values))
        return await fetch(self, prepared, values)

    async def fetch_many_told(self: Database, prepared: Prepared, values: Any) -> list[Any]:
        hear(self, prepared.text, prepared.parameters(values))
        return await fetch_many(self, prepared, values)

    async def append_told(self: Database, prepared: Prepared, gather: Callable[[], Any]) -> None:
        def told() -> Any:
            rows = gather()
            hear(self, prepared.text, [prepared.parameters(row) for row in rows])
            return rows

        await append(self, prepared, told)

    async def write_told(self: ThreadedConnection, statements: Iterable[tuple[str, Any]]) -> None:
        listened = list(statements)
        for text, rows in listened:
            hear(None, text, rows)  # whose connection it is, it does not tell
        await write(self, listened)

    event.listen(Engine, "before_cursor_execute", engine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "fetch", fetch_told)
        patch.setattr(Database, "fetch_many", fetch_many_told)
        patch.setattr(Database, "append", append_told)
        patch.setattr(ThreadedConnection, "write_and_commit", write_told)
        try:
            yield
        finally:
            event.remove(Engine, "before_cursor_execute", engine)


@contextmanager
def sent(only: Database | None = None) -> Iterator[list[tuple[str, Any]]]:
    """Statements with their parameters; `only` as `told` has it."""
    statements: list[tuple[str, Any]] = []
    with told(lambda statement, parameters: statements.append((statement, parameters)), only):
        yield statements


@contextmanager
def counting() -> Iterator[Statements]:
    """What they come to, once the block has ended."""
    statements = Statements()
    with sent() as them:
        yield statements
    statements.extend(text for text, _ in them)
