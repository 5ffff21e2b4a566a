"""Statements about all sealed values, of all viewers: for the rotation of keys and for the doctor command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from tiktok_accounts_gql.crypto import SecretLocation
from tiktok_accounts_gql.db.models import ConnectionAttempt, PendingRevocation, TokenPair

_KEY_ID_START = 2  # behind the version byte of a sealed value; SQL counts from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedTable:
    """A table and its sealed columns; `id` is the name of its primary key."""

    model: type[SQLModel]
    id: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.model.__tablename__)

    def get_location(self, row: Any, column: str) -> SecretLocation:
        return SecretLocation(table=self.name, column=column, row=getattr(row, self.id))


TABLES = (
    SealedTable(model=TokenPair, id="account_id", columns=("access_token", "refresh_token", "previous_refresh_token")),
    SealedTable(model=PendingRevocation, id="id", columns=("access_token", "refresh_token")),
    SealedTable(model=ConnectionAttempt, id="id", columns=("code_verifier",)),
)


async def list_by_other_keys(
    session: AsyncSession, table: SealedTable, *, key_id: bytes, after: UUID, limit: int
) -> Sequence[Any]:
    """Return up to `limit` rows with a value that another key sealed, in the order of their ids."""
    id_column = col(getattr(table.model, table.id))
    conditions: list[ColumnElement[bool]] = []
    for column in [getattr(table.model, name) for name in table.columns]:
        column_key_id = func.substr(column, _KEY_ID_START, len(key_id))
        # SQLite returns NULL for a value that is too short for a key id.
        conditions.append(and_(column.is_not(None), func.coalesce(column_key_id, literal(b"")) != key_id))
    statement = select(table.model).where(id_column > after, or_(*conditions)).order_by(id_column).limit(limit)
    return (await session.scalars(statement)).all()


async def list_all(session: AsyncSession, table: SealedTable, *, after: UUID, limit: int) -> Sequence[Any]:
    """Return up to `limit` rows in the order of their ids."""
    id_column = col(getattr(table.model, table.id))
    return (await session.scalars(select(table.model).where(id_column > after).order_by(id_column).limit(limit))).all()


async def replace(session: AsyncSession, table: SealedTable, row: Any, values: Mapping[str, bytes]) -> bool:
    """Store newly sealed values of the same secrets. Return False if the row has changed since it was read."""
    id_column = col(getattr(table.model, table.id))
    is_unchanged = [col(getattr(table.model, name)) == getattr(row, name) for name in values]
    statement = (
        update(table.model)
        .where(id_column == getattr(row, table.id), *is_unchanged)
        .values(**values)
        .returning(id_column)
    )
    return await session.scalar(statement, execution_options={"synchronize_session": False}) is not None
