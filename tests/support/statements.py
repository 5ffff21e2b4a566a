"""Which statements a process sends to its databases."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.prepared import Prepared


class Statements(list[str]):
    """In the order sent."""

    def reads_of(self, table: str) -> int:
        return sum(1 for one in self if one.startswith("SELECT") and re.search(rf"\bFROM {table}\b", one))

    def writes_of(self, table: str) -> int:
        return sum(1 for one in self if re.match(rf"(INSERT INTO|UPDATE|DELETE FROM) {table}\b", one))


@contextmanager
def sent() -> Iterator[list[tuple[str, Any]]]:
    """With their parameters; what is prepared goes around the engine."""
    statements: list[tuple[str, Any]] = []

    def remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    fetch, append = Database.fetch, Database.append

    async def fetch_told(self: Database, prepared: Prepared, values: Any) -> list[Any]:
        statements.append((prepared.text, prepared.parameters(values)))
        return await fetch(self, prepared, values)

    async def append_told(self: Database, prepared: Prepared, rows: Any) -> None:
        statements.append((prepared.text, [prepared.parameters(row) for row in rows]))
        await append(self, prepared, rows)

    event.listen(Engine, "before_cursor_execute", remember)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "fetch", fetch_told)
        patch.setattr(Database, "append", append_told)
        try:
            yield statements
        finally:
            event.remove(Engine, "before_cursor_execute", remember)


@contextmanager
def counting() -> Iterator[Statements]:
    """What they come to, once the block has ended."""
    statements = Statements()
    with sent() as them:
        yield statements
    statements.extend(text for text, _ in them)
