"""Statements about audit events, which are inserted and read but never updated."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.keyset import Ordering
from tiktok_accounts_gql.db.models import Account, AuditAction, AuditEvent
from tiktok_accounts_gql.db.tables import table_of
from tiktok_accounts_gql.db.unit_of_work import defer_rows

EventValues = dict[str, Any]  # by the names of all columns

_IS_CHANGE = text("is_change")  # as the partial index spells it, or SQLite would not use it

NEWEST_FIRST = Ordering(name="audit events", column=col(AuditEvent.created_at), id=col(AuditEvent.id), descending=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEventFilter:
    """Conditions that must all hold; an empty one is ignored."""

    actions: tuple[AuditAction, ...] = ()
    changes_only: bool = False
    account_id: UUID | None = None
    start: datetime | None = None
    end: datetime | None = None


def select_events(viewer_id: str, filter: AuditEventFilter) -> Select[AuditEvent]:
    conditions: list[Any] = [col(AuditEvent.viewer_id) == viewer_id]
    if filter.actions:
        conditions.append(col(AuditEvent.action).in_(filter.actions))
    if filter.changes_only:
        conditions.append(_IS_CHANGE)
    if filter.account_id is not None:
        conditions.append(col(AuditEvent.account_id) == filter.account_id)
    if filter.start is not None:
        conditions.append(col(AuditEvent.created_at) >= filter.start)
    if filter.end is not None:
        conditions.append(col(AuditEvent.created_at) < filter.end)
    return select(AuditEvent).where(*conditions)


async def list_by_ids(session: AsyncSession, viewer_id: str, ids: Collection[UUID]) -> Sequence[AuditEvent]:
    statement = select_events(viewer_id, AuditEventFilter()).where(col(AuditEvent.id).in_(ids))
    return (await session.scalars(statement)).all()


def add_many(session: AsyncSession, events: Sequence[EventValues]) -> None:
    """Insert events before the transaction commits. The database adds the account's username of that moment."""
    defer_rows(session, _INSERT_WITH_USERNAME, events)


async def append(db: Database, get_events: Callable[[], Sequence[EventValues]]) -> None:
    """Insert all events or none in a transaction of their own. `get_events` is called when that can begin."""
    await db.insert(db.compile("insert audit events", lambda: _INSERT), get_events)


_events, _accounts = table_of(AuditEvent), table_of(Account)
_parameters = {name: bindparam(name, type_=column.type) for name, column in _events.columns.items()}
_username = select(_accounts.c.username).where(
    _accounts.c.id == _parameters["account_id"], _accounts.c.viewer_id == _parameters["viewer_id"]
)
_INSERT = insert(_events)
_INSERT_WITH_USERNAME = insert(_events).values({**_parameters, "account_username": _username.scalar_subquery()})
