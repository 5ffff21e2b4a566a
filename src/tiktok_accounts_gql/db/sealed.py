"""Statements about everything that is sealed, for the rotation of keys and the doctor: of all viewers, by the key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from tiktok_accounts_gql.crypto import Place
from tiktok_accounts_gql.db.models import ConnectionAttempt, OwedRevocation, TokenPair


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedTable:
    """Which columns of a table are sealed; `id` names its key."""

    model: type[SQLModel]
    id: str
    columns: tuple[str, ...]

    def place(self, row: Any, column: str) -> Place:
        return Place(table=str(self.model.__tablename__), column=column, row=getattr(row, self.id))


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
    by_another = or_(*[_key_id(table, name, len(key_id)) != key_id for name in table.columns])
    statement = select(table.model).where(own > after, by_another).order_by(own).limit(limit)
    return (await session.scalars(statement)).all()


async def count_by_key(session: AsyncSession, table: SealedTable, column: str, *, length: int) -> Mapping[bytes, int]:
    """How many values each key sealed; `length` is that of a key id."""
    key_id = _key_id(table, column, length).label("key_id")
    filled = col(getattr(table.model, column)).is_not(None)
    found = await session.execute(select(key_id, func.count()).where(filled).group_by(key_id))
    return {bytes(one): count for one, count in found}


async def find_by_key(session: AsyncSession, table: SealedTable, column: str, key_id: bytes) -> Any:
    """Any row with a value that this key sealed."""
    statement = select(table.model).where(_key_id(table, column, len(key_id)) == key_id).limit(1)
    return (await session.scalars(statement)).one_or_none()


def _key_id(table: SealedTable, column: str, length: int) -> Any:
    return func.substr(getattr(table.model, column), 2, length)


async def replace(session: AsyncSession, table: SealedTable, row: Any, values: dict[str, bytes]) -> bool:
    """The same secrets under another key, unless the row changed meanwhile."""
    own = col(getattr(table.model, table.id))
    unchanged = [col(getattr(table.model, name)) == getattr(row, name) for name in values]
    done = update(table.model).where(own == getattr(row, table.id), *unchanged).values(**values).returning(own)
    return await session.scalar(done, execution_options={"synchronize_session": False}) is not None
