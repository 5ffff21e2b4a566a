"""Statements about everything that is sealed, for the rotation of keys and the doctor: of all viewers, by the key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from tiktok_accounts_gql.crypto import Place
from tiktok_accounts_gql.db.models import ConnectionAttempt, OwedRevocation, TokenPair

KEY_ID_STARTS = 2  # behind the version; SQL counts from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedTable:
    """Which columns of a table are sealed; `id` names its key."""

    model: type[SQLModel]
    id: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.model.__tablename__)

    def place(self, row: Any, column: str) -> Place:
        return Place(table=self.name, column=column, row=getattr(row, self.id))


TABLES = (
    SealedTable(model=TokenPair, id="account_id", columns=("access_token", "refresh_token", "previous_refresh_token")),
    SealedTable(model=OwedRevocation, id="id", columns=("access_token", "refresh_token")),
    SealedTable(model=ConnectionAttempt, id="id", columns=("code_verifier",)),
)


async def list_by_other_keys(
    session: AsyncSession, table: SealedTable, *, key_id: bytes, after: UUID, limit: int
) -> Sequence[Any]:
    """Rows with a value that another key sealed, by id."""
    own = col(getattr(table.model, table.id))
    by_another = or_(*[_is_by_another(getattr(table.model, name), key_id) for name in table.columns])
    statement = select(table.model).where(own > after, by_another).order_by(own).limit(limit)
    return (await session.scalars(statement)).all()


async def list_all(session: AsyncSession, table: SealedTable, *, after: UUID, limit: int) -> Sequence[Any]:
    """By id."""
    own = col(getattr(table.model, table.id))
    return (await session.scalars(select(table.model).where(own > after).order_by(own).limit(limit))).all()


def _is_by_another(column: Any, key_id: bytes) -> ColumnElement[bool]:
    """Also of a value that is cut off before its key id, for which SQLite finds NULL."""
    found = func.coalesce(func.substr(column, KEY_ID_STARTS, len(key_id)), literal(b""))
    return and_(column.is_not(None), found != key_id)


async def replace(session: AsyncSession, table: SealedTable, row: Any, values: Mapping[str, bytes]) -> bool:
    """The same secrets under another key, unless the row changed meanwhile."""
    own = col(getattr(table.model, table.id))
    unchanged = [col(getattr(table.model, name)) == getattr(row, name) for name in values]
    done = update(table.model).where(own == getattr(row, table.id), *unchanged).values(**values).returning(own)
    return await session.scalar(done, execution_options={"synchronize_session": False}) is not None
