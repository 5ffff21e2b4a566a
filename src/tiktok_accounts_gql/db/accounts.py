"""Statements about accounts. All but `list_connected_by_open_id` name the viewer.

Disconnected accounts are left out, unless a docstring says otherwise.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple, Unpack
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.account_update import AccountUpdate
from tiktok_accounts_gql.db.folding import fold
from tiktok_accounts_gql.db.keyset import Ordering
from tiktok_accounts_gql.db.models import SORT_KEY_LENGTH, Account, AccountStatus, HealthAction, HealthState
from tiktok_accounts_gql.errors import NotFound

# Between username and display name in `search_text`: no search contains it, so none matches across the two.
_SEPARATOR = "\x1f"

USER_ACTIONS = (HealthAction.RECONNECT, HealthAction.GRANT_SCOPES)  # which only the user can take


class AccountTaken(Exception):
    """Raised for a TikTok account that is connected already, by this viewer or another."""


class AccountOrderField(StrEnum):
    """What accounts can be ordered by."""

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
    """Conditions that must all hold; an empty one is ignored. Values are sorted and unique, so equal filters are equal.

    `needle` is the folded text that a name has to contain. It is None for no condition. An empty needle, which a search of
    ignorable characters leaves, is in no name.
    """

    statuses: tuple[AccountStatus, ...] = ()
    health: tuple[HealthState, ...] = ()
    actions: tuple[HealthAction, ...] = ()
    search: str = ""
    needle: str | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("statuses", "health", "actions"):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))
        text = self.search.strip().lstrip("@ ")
        object.__setattr__(self, "needle", fold(text).lstrip("@ ") if text else None)


class ConnectionTimes(NamedTuple):
    """When an account was last connected and disconnected: what a subscriber to changes needs to know of it."""

    id: UUID
    connected_at: datetime
    disconnected_at: datetime | None


def name_columns(username: str | None, display_name: str) -> dict[str, Any]:
    """Return the columns that hold an account's names, and those that sort and search by them."""
    folded_username, folded_name = fold(username or ""), fold(display_name)
    return {
        "username": username,
        "username_key": None if username is None else folded_username[:SORT_KEY_LENGTH],
        "display_name": display_name,
        "display_name_key": folded_name[:SORT_KEY_LENGTH],
        "search_text": f"{folded_username}{_SEPARATOR}{folded_name}",
    }


@cache
def build_ordering(field: AccountOrderField, *, descending: bool) -> Ordering:
    name = f"accounts {field} {'DESC' if descending else 'ASC'}"
    return Ordering(name=name, column=_SORT_COLUMNS[field], id=col(Account.id), descending=descending)


def build_parameters(viewer_id: str, filter: AccountFilter) -> dict[str, Any]:
    """Return the parameters of a statement that is made from `select_connected`, by their names."""
    parameters = {"of_viewer": viewer_id, "search": _build_pattern(filter)}
    for name, values in (("status", filter.statuses), ("health", filter.health), ("action", filter.actions)):
        for number, value in enumerate(values):
            parameters[f"{name}_{number}"] = value
    return parameters


def select_connected(viewer_id: str, filter: AccountFilter | None = None) -> Select[Account]:
    return select(Account).where(*_is_connected(viewer_id), *_build_conditions(filter or AccountFilter()))


def _is_connected(viewer_id: str) -> tuple[ColumnElement[bool], ...]:
    column: Any = col(Account.viewer_id)
    return column == bindparam("of_viewer", viewer_id, column.type), col(Account.disconnected_at).is_(None)


def _build_conditions(filter: AccountFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    lists: tuple[tuple[Any, str, tuple[StrEnum, ...]], ...] = (
        (col(Account.status), "status", filter.statuses),
        (col(Account.health_state), "health", filter.health),
        (col(Account.health_action), "action", filter.actions),
    )
    for column, name, values in lists:
        if values:
            parameters = [bindparam(f"{name}_{i}", value, column.type) for i, value in enumerate(values)]
            conditions.append(column.in_(parameters))
    if (pattern := _build_pattern(filter)) is not None:
        text: Any = col(Account.search_text)
        conditions.append(text.like(bindparam("search", pattern, text.type), escape="\\"))
    elif filter.needle is not None:
        conditions.append(col(Account.id).is_(None))
    return conditions


def _build_pattern(filter: AccountFilter) -> str | None:
    """Return the LIKE pattern of a filter with a needle that is not empty."""
    if not filter.needle:
        return None
    escaped = filter.needle.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


async def list_by_ids(session: AsyncSession, viewer_id: str, ids: Collection[UUID]) -> Sequence[Account]:
    return (await session.scalars(select_connected(viewer_id).where(col(Account.id).in_(ids)))).all()


async def list_changed(session: AsyncSession, viewer_id: str, *, since: datetime) -> Sequence[ConnectionTimes]:
    """Return the accounts that have changed since then, disconnected ones included, in the order of their changes."""
    columns = (col(Account.id), col(Account.connected_at), col(Account.disconnected_at))
    changed = select(*columns).where(col(Account.viewer_id) == viewer_id, col(Account.updated_at) >= since)
    rows = await session.execute(changed.order_by(col(Account.updated_at), col(Account.id)))
    return [ConnectionTimes(*row) for row in rows]


async def was_ever_connected(session: AsyncSession, viewer_id: str, account_id: UUID) -> bool:
    """Return whether the viewer has an account of this id, connected or disconnected."""
    return await session.scalar(select(col(Account.id)).where(*_is_owned(viewer_id, account_id))) is not None


async def find(session: AsyncSession, viewer_id: str, account_id: UUID) -> Account | None:
    """Return the account, also if it is disconnected."""
    return (await session.scalars(select(Account).where(*_is_owned(viewer_id, account_id)))).one_or_none()


async def get(session: AsyncSession, viewer_id: str, account_id: UUID, *, lock: bool = False) -> Account:
    """Return the account; with `lock`, no other transaction can change it until this one ends. Raises NotFound."""
    statement = select_connected(viewer_id).where(col(Account.id) == account_id)
    account = await session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if account is None:
        raise NotFound
    return account


async def find_by_open_id(session: AsyncSession, viewer_id: str, open_id: str) -> Account | None:
    """Return the viewer's account, also if it is disconnected: connecting it again restores it."""
    statement = select(Account).where(col(Account.viewer_id) == viewer_id, col(Account.open_id) == open_id)
    return (await session.scalars(statement)).one_or_none()


async def find_open_id(session: AsyncSession, viewer_id: str, account_id: UUID) -> str | None:
    """Return the open id of an account, also if it is disconnected."""
    return await session.scalar(select(col(Account.open_id)).where(*_is_owned(viewer_id, account_id)))


async def list_connected_by_open_id(session: AsyncSession, open_id: str) -> Sequence[Account]:
    """Return the account of any viewer: for events from TikTok, which name no viewer."""
    statement = select(Account).where(col(Account.open_id) == open_id, col(Account.disconnected_at).is_(None))
    return (await session.scalars(statement)).all()


async def add(session: AsyncSession, viewer_id: str, *, open_id: str, **values: Unpack[AccountUpdate]) -> Account:
    """Insert an account and return it. `connected_at` is required. Raises AccountTaken."""
    values.setdefault("created_at", values["connected_at"])
    account = Account(viewer_id=viewer_id, open_id=open_id, **values)
    session.add(account)
    with translate_unique_violation():
        await session.flush()
    return account


async def change(session: AsyncSession, viewer_id: str, account_id: UUID, **values: Unpack[AccountUpdate]) -> Account:
    """Update a connected account and return it. Raises NotFound."""
    return await _update(session, *_is_connected(viewer_id), col(Account.id) == account_id, values=values)


async def reconnect(
    session: AsyncSession, viewer_id: str, account_id: UUID, **values: Unpack[AccountUpdate]
) -> Account:
    """Update an account, restore it if it was disconnected, and return it. Raises NotFound and AccountTaken."""
    values["disconnected_at"] = None
    with translate_unique_violation():
        return await _update(session, *_is_owned(viewer_id, account_id), values=values)


@contextmanager
def translate_unique_violation() -> Iterator[None]:
    """Raise AccountTaken when a unique index refuses a row. Only the index can decide: a query before would race."""
    try:
        yield
    except IntegrityError as error:
        raise AccountTaken from error


async def _update(session: AsyncSession, *conditions: ColumnElement[bool], values: AccountUpdate) -> Account:
    statement = update(Account).where(*conditions).values(**values).returning(Account)
    account = await session.scalar(statement, execution_options={"populate_existing": True})
    if account is None:
        raise NotFound
    return account


def _is_owned(viewer_id: str, account_id: UUID) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions for one account of the viewer, disconnected or not."""
    return col(Account.viewer_id) == viewer_id, col(Account.id) == account_id
