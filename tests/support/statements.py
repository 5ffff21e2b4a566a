"""Which statements a process sends to its databases."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine


class Statements(list[str]):
    """In the order sent."""

    def reads_of(self, table: str) -> int:
        return sum(1 for one in self if one.startswith("SELECT") and re.search(rf"\bFROM {table}\b", one))

    def writes_of(self, table: str) -> int:
        return sum(1 for one in self if re.match(rf"(INSERT INTO|UPDATE|DELETE FROM) {table}\b", one))


@contextmanager
def counting() -> Iterator[Statements]:
    statements = Statements()

    def remember(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", remember)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", remember)
