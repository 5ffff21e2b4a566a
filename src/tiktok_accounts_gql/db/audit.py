"""Statements about audit events: they are added and read, never changed."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.closing import write_at_end
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.keyset import Ordering
from tiktok_accounts_gql.db.models import Account, AuditAction, AuditEvent
from tiktok_accounts_gql.db.tables import table_of

Values = dict[str, Any]  # of all columns

_IS_CHANGE = text("is_change")  # in the words of the partial index, or SQLite would not use it

NEWEST_FIRST = Ordering(name="audit events", column=col(AuditEvent.created_at), id=col(AuditEvent.id), descending=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEventFilter:
    """Conditions that all have to hold; an empty one is none."""

    actions: tuple[AuditAction, ...] = ()
    changes_only: bool = False
    account_id: UUID | None = None
    start: datetime | None = None
    end: datetime | None = None


def of_viewer(viewer_id: str, where: AuditEventFilter) -> Select[AuditEvent]:
    return select(AuditEvent).where(col(AuditEvent.viewer_id) == viewer_id, *_conditions(where))


def _conditions(where: AuditEventFilter) -> list[Any]:
    conditions: list[Any] = []
    if where.actions:
        conditions.append(col(AuditEvent.action).in_(where.actions))
    if where.changes_only:
        conditions.append(_IS_CHANGE)
    if where.account_id is not None:
        conditions.append(col(AuditEvent.account_id) == where.account_id)
    if where.start is not None:
        conditions.append(col(AuditEvent.created_at) >= where.start)
    if where.end is not None:
        conditions.append(col(AuditEvent.created_at) < where.end)
    return conditions


async def list_by_ids(session: AsyncSession, viewer_id: str, ids: Collection[UUID]) -> Sequence[AuditEvent]:
    statement = of_viewer(viewer_id, AuditEventFilter()).where(col(AuditEvent.id).in_(ids))
    return (await session.scalars(statement)).all()


def add_many(session: AsyncSession, events: Sequence[Values]) -> None:
    """At the end of the session's transaction. The database adds what the account is called then."""
    write_at_end(session, _ADD_NAMED, events)


async def append(db: Database, gather: Callable[[], Sequence[Values]]) -> None:
    """In a transaction of their own: all of them, or none. They are asked for when it can begin."""
    await db.append(db.prepare("append audit events", lambda: _ADD), gather)


_events, _accounts = table_of(AuditEvent), table_of(Account)
_values = {name: bindparam(name, type_=column.type) for name, column in _events.columns.items()}
_username = select(_accounts.c.username).where(
    _accounts.c.id == _values["account_id"], _accounts.c.viewer_id == _values["viewer_id"]
)
_ADD = insert(_events)
_ADD_NAMED = insert(_events).values({**_values, "account_username": _username.scalar_subquery()})
