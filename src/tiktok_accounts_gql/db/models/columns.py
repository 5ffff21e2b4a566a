"""What tables have in common."""

from enum import StrEnum

from sqlalchemy import Enum, ForeignKeyConstraint, Index, text

VIEWER_LENGTH = 255
SORT_KEY_LENGTH = 200


def word(values: type[StrEnum], *, closed: bool) -> Enum:
    """One of the values, as text. A closed list is held by a constraint; an open one grows without a migration."""
    return Enum(values, native_enum=False, length=40, create_constraint=closed, name=f"{values.__name__.lower()}_known")


def of_account() -> ForeignKeyConstraint:
    """What belongs to an account belongs to its viewer too: a row cannot hang on somebody else's account."""
    return ForeignKeyConstraint(["account_id", "viewer_id"], ["accounts.id", "accounts.viewer_id"])


def partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of some rows only, on both databases."""
    return Index(name, *map(text, columns), unique=unique, postgresql_where=text(where), sqlite_where=text(where))


def connected(name: str, *columns: str, unique: bool = False) -> Index:
    return partial(name, *columns, where="disconnected_at IS NULL", unique=unique)


def ordered(name: str, *columns: str) -> tuple[Index, Index]:
    """SQLite has no trigrams: there, each index of an order has what a search looks at, so that no row is read in vain."""
    kinds = {"postgresql": columns, "sqlite": (*columns, "search_text", "disconnected_at")}
    on_postgresql, on_sqlite = (connected(name, *kinds[kind]).ddl_if(dialect=kind) for kind in kinds)
    return on_postgresql, on_sqlite
