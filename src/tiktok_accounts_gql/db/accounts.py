"""Statements about accounts: the viewer in every WHERE, and no disconnected ones unless a docstring says so."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.folding import fold
from tiktok_accounts_gql.db.keyset import Ordering
from tiktok_accounts_gql.db.models import SORT_KEY_LENGTH, Account, AccountStatus, HealthAction, HealthState
from tiktok_accounts_gql.errors import NotFound

_SEPARATOR = "\x1f"  # between username and display name: a search cannot hold it, so it cannot match across


NEEDING_THE_USER = (HealthAction.RECONNECT, HealthAction.GRANT_SCOPES)


class Taken(Exception):
    """Somebody has connected this TikTok account already."""


class AccountOrderField(StrEnum):
    """By what accounts can be ordered."""

    CREATED_AT = "CREATED_AT"
    DISPLAY_NAME = "DISPLAY_NAME"
    USERNAME = "USERNAME"
    FOLLOWER_COUNT = "FOLLOWER_COUNT"
    LAST_SYNCED_AT = "LAST_SYNCED_AT"


_SORT_COLUMNS = {
    AccountOrderField.CREATED_AT: col(Account.created_at),
    AccountOrderField.DISPLAY_NAME: col(Account.display_name_key),
    AccountOrderField.USERNAME: col(Account.username_key),
    AccountOrderField.FOLLOWER_COUNT: col(Account.follower_count),
    AccountOrderField.LAST_SYNCED_AT: col(Account.last_synced_at),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFilter:
    """Conditions that all have to hold; an empty one is none. Each word stands there once, in one order."""

    statuses: tuple[AccountStatus, ...] = ()
    health: tuple[HealthState, ...] = ()
    actions: tuple[HealthAction, ...] = ()
    search: str = ""
    needle: str | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("statuses", "health", "actions"):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))
        object.__setattr__(self, "needle", _needle(self.search) if self.search else None)


def _needle(search: str) -> str | None:
    """What a name has to contain, folded. None is no condition; an empty needle, of ignorable characters, is in no name."""
    without_at = search.strip().lstrip("@ ")
    return fold(without_at).lstrip("@ ") if without_at else None


class Changed(NamedTuple):
    """An account of which something changed."""

    id: UUID
    connected_at: datetime
    disconnected_at: datetime | None


def names(username: str | None, display_name: str) -> dict[str, Any]:
    """The columns that hold names, and those that order and find by them."""
    folded_username, folded_name = fold(username or ""), fold(display_name)
    return {
        "username": username,
        "username_key": None if username is None else folded_username[:SORT_KEY_LENGTH],
        "display_name": display_name,
        "display_name_key": folded_name[:SORT_KEY_LENGTH],
        "search_text": f"{folded_username}{_SEPARATOR}{folded_name}",
    }


@cache
def ordering(field: AccountOrderField, *, descending: bool) -> Ordering:
    name = f"accounts {field} {'DESC' if descending else 'ASC'}"
    return Ordering(name=name, column=_SORT_COLUMNS[field], id=col(Account.id), descending=descending)


def values(viewer_id: str, where: AccountFilter) -> dict[str, Any]:
    """The parameters of a statement with `connected`, by their names."""
    lists = {"status": where.statuses, "health": where.health, "action": where.actions}
    listed = {f"{name}_{number}": one for name, them in lists.items() for number, one in enumerate(them)}
    return {"of_viewer": viewer_id, "search": _pattern(where), **listed}


def connected(viewer_id: str, where: AccountFilter | None = None) -> Select[Account]:
    return select(Account).where(*_connected(viewer_id), *_conditions(where or AccountFilter()))


def _connected(viewer_id: str) -> tuple[ColumnElement[bool], ...]:
    own: Any = col(Account.viewer_id)
    return own == bindparam("of_viewer", viewer_id, own.type), col(Account.disconnected_at).is_(None)


def _conditions(where: AccountFilter) -> list[ColumnElement[bool]]:
    conditions = [
        _is_one_of(column, name, them)
        for column, name, them in (
            (col(Account.status), "status", where.statuses),
            (col(Account.health_state), "health", where.health),
            (col(Account.health_action), "action", where.actions),
        )
        if them
    ]
    if (pattern := _pattern(where)) is not None:
        text: Any = col(Account.search_text)
        conditions.append(text.like(bindparam("search", pattern, text.type), escape="\\"))
    elif where.needle is not None:
        conditions.append(col(Account.id).is_(None))
    return conditions


def _is_one_of(column: Any, name: str, them: tuple[StrEnum, ...]) -> ColumnElement[bool]:
    values = [bindparam(f"{name}_{number}", one, column.type) for number, one in enumerate(them)]
    return column.in_(values)  # type: ignore[no-any-return]


def _pattern(where: AccountFilter) -> str | None:
    if not where.needle:
        return None
    escaped = where.needle.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


async def list_by_ids(session: AsyncSession, viewer_id: str, ids: Collection[UUID]) -> Sequence[Account]:
    return (await session.scalars(connected(viewer_id).where(col(Account.id).in_(ids)))).all()


async def list_changed(session: AsyncSession, viewer_id: str, *, since: datetime) -> Sequence[Changed]:
    """Disconnected ones too; what changed first comes first."""
    columns = (col(Account.id), col(Account.connected_at), col(Account.disconnected_at))
    changed = select(*columns).where(col(Account.viewer_id) == viewer_id, col(Account.updated_at) >= since)
    rows = await session.execute(changed.order_by(col(Account.updated_at), col(Account.id)))
    return [Changed(*row) for row in rows]


async def was_connected(session: AsyncSession, viewer_id: str, account_id: UUID) -> bool:
    """Whether the viewer has, or had, this account."""
    same = select(col(Account.id)).where(col(Account.viewer_id) == viewer_id, col(Account.id) == account_id)
    return await session.scalar(same) is not None


async def find(session: AsyncSession, viewer_id: str, account_id: UUID) -> Account | None:
    """A disconnected one too."""
    same = select(Account).where(col(Account.viewer_id) == viewer_id, col(Account.id) == account_id)
    return (await session.scalars(same)).one_or_none()


async def get(session: AsyncSession, viewer_id: str, account_id: UUID, *, lock: bool = False) -> Account:
    """`lock` keeps others from changing it until the transaction ends. Raises NotFound."""
    statement = connected(viewer_id).where(col(Account.id) == account_id)
    account = await session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if account is None:
        raise NotFound
    return account


async def find_by_open_id(session: AsyncSession, viewer_id: str, open_id: str) -> Account | None:
    """A disconnected one too: connected again, it comes back."""
    same = select(Account).where(col(Account.viewer_id) == viewer_id, col(Account.open_id) == open_id)
    return (await session.scalars(same)).one_or_none()


async def find_open_id(session: AsyncSession, viewer_id: str, account_id: UUID) -> str | None:
    """Of a disconnected account too."""
    same = (col(Account.viewer_id) == viewer_id, col(Account.id) == account_id)
    return await session.scalar(select(col(Account.open_id)).where(*same))


async def list_connected_by_open_id(session: AsyncSession, open_id: str) -> Sequence[Account]:
    """Whoever connected it: for what TikTok itself tells about an account."""
    statement = select(Account).where(col(Account.open_id) == open_id, col(Account.disconnected_at).is_(None))
    return (await session.scalars(statement)).all()


async def add(session: AsyncSession, viewer_id: str, *, open_id: str, connected_at: datetime, **values: Any) -> Account:
    """Raises Taken."""
    account = Account(
        viewer_id=viewer_id, open_id=open_id, created_at=connected_at, connected_at=connected_at, **values
    )
    session.add(account)
    with _taken_is_said():
        await session.flush()
    return account


async def change(session: AsyncSession, viewer_id: str, account_id: UUID, **values: Any) -> Account:
    """The account after the change. Raises NotFound."""
    return await _update(session, *_connected(viewer_id), col(Account.id) == account_id, **values)


async def reconnect(session: AsyncSession, viewer_id: str, account_id: UUID, **values: Any) -> Account:
    """The account after the change, which brings it back if it was disconnected. Raises NotFound, Taken."""
    owned = (col(Account.viewer_id) == viewer_id, col(Account.id) == account_id)
    with _taken_is_said():
        return await _update(session, *owned, disconnected_at=None, **values)


@contextmanager
def _taken_is_said() -> Iterator[None]:
    """The unique indexes decide, also in a race."""
    try:
        yield
    except IntegrityError as error:
        raise Taken from error


async def _update(session: AsyncSession, *where: ColumnElement[bool], **values: Any) -> Account:
    statement = update(Account).where(*where).values(**values).returning(Account)
    account = await session.scalar(statement, execution_options={"populate_existing": True})
    if account is None:
        raise NotFound
    return account
