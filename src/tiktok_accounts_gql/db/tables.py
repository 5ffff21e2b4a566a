"""Tables behind the models, for statements that run often.

A statement about a model goes through SQLAlchemy's ORM, which costs several times what the statement does: an UPDATE some
0.6 ms, and 0.15 ms about its table. On SQLite all other writers wait meanwhile.
"""

from sqlalchemy import Table, inspect
from sqlmodel import SQLModel


def table_of(model: type[SQLModel]) -> Table:
    """Its columns are `table.c`, by the models' names."""
    table = inspect(model).local_table
    assert isinstance(table, Table)  # noqa: S101 - the model is a table's
    return table
