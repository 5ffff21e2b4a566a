"""Columns, constraints and indexes that several tables have."""

from enum import StrEnum

from sqlalchemy import Enum, ForeignKeyConstraint, Index, text

VIEWER_LENGTH = 255
SORT_KEY_LENGTH = 200


def enum_column(values: type[StrEnum], *, closed: bool) -> Enum:
    """Return the type of a column of enum values, as text.

    A closed one has a check constraint; an open one can get new values without a migration.
    """
    return Enum(values, native_enum=False, length=40, create_constraint=closed, name=f"{values.__name__.lower()}_known")


def account_foreign_key() -> ForeignKeyConstraint:
    """Return a foreign key on account and viewer: a row cannot refer to another viewer's account."""
    return ForeignKeyConstraint(["account_id", "viewer_id"], ["accounts.id", "accounts.viewer_id"])


def partial_index(name: str, *columns: str, condition: str, unique: bool = False) -> Index:
    """Return an index of the rows that satisfy a condition, on both databases."""
    is_indexed = text(condition)
    return Index(name, *map(text, columns), unique=unique, postgresql_where=is_indexed, sqlite_where=is_indexed)


def connected_index(name: str, *columns: str, unique: bool = False) -> Index:
    """Return an index of the connected accounts."""
    return partial_index(name, *columns, condition="disconnected_at IS NULL", unique=unique)


def ordering_indexes(name: str, *columns: str) -> tuple[Index, Index]:
    """Return the indexes for an ordering, one for each dialect.

    SQLite has no trigram index. There, each index has the columns of a search too, so that rows that do not match are not
    read.
    """
    on_postgresql = connected_index(name, *columns).ddl_if(dialect="postgresql")
    on_sqlite = connected_index(name, *columns, "search_text", "disconnected_at").ddl_if(dialect="sqlite")
    return on_postgresql, on_sqlite
