"""Reading accounts as rows: only the columns that are asked for, by statements that are compiled once for their shape."""

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, bindparam, func, select
from sqlmodel import SQLModel

from tiktok_accounts_gql.db import account_totals, accounts
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.keyset import Ordering, Range, Slice
from tiktok_accounts_gql.db.listing import Listing, read_listed
from tiktok_accounts_gql.db.prepared import Row
from tiktok_accounts_gql.pagination import PageRequest

_TABLE: Table = SQLModel.metadata.tables["accounts"]
_ALL = frozenset(_TABLE.columns.keys())
_SHOWN = _ALL - {"search_text", "next_sync_at"}


class AccountRow(Row):
    """What was asked for of a row of accounts."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """What of a list is loaded with it: the columns that are known to be read, and its total."""

    attributes: frozenset[str] | None = None
    total: bool = False


NOTHING_KNOWN = Ahead()


@lru_cache(maxsize=500)
def columns_of(attributes: frozenset[str] | None, *always: str) -> tuple[str, ...]:
    """In the table's order. All that is shown, if it is not known what is asked for, or something else than columns is."""
    wanted = _SHOWN if attributes is None or not _ALL.issuperset(attributes) else {*attributes, *always}
    return tuple(name for name in _TABLE.columns.keys() if name in wanted)  # noqa: SIM118 - in their order


async def read_page(
    db: Database,
    viewer_id: str,
    where: AccountFilter,
    ordering: Ordering,
    page: PageRequest,
    within: Range,
    ahead: Ahead = NOTHING_KNOWN,
) -> Slice[Any]:
    columns = columns_of(ahead.attributes, ordering.column.key, ordering.id.key)
    listing = Listing(
        shape=(columns, _shape(where), ahead.total),
        select=lambda: _select(columns, viewer_id, where),
        values=accounts.values(viewer_id, where),
        row=AccountRow,
        total=(lambda: _total(viewer_id, where)) if ahead.total else None,
    )
    return await read_listed(db, listing, ordering, within, size=page.size, backward=page.backward)


async def count(db: Database, viewer_id: str, where: AccountFilter) -> int:
    def statement() -> Select[Any]:
        return select(_total(viewer_id, where).label("total"))

    prepared = db.prepare(("count of accounts", _shape(where)), statement)
    [row] = await db.fetch(prepared, accounts.values(viewer_id, where))
    return int(row.total)


async def list_by_ids(
    db: Database, viewer_id: str, ids: Collection[UUID], attributes: frozenset[str] | None = None
) -> Sequence[Any]:
    if not ids:
        return []
    columns, slots = columns_of(attributes, "id"), slots_for(len(ids))

    def statement() -> Select[Any]:
        own: Any = _TABLE.columns["id"]
        asked = [bindparam(f"id_{number}", type_=own.type) for number in range(slots)]
        return _select(columns, viewer_id, AccountFilter()).where(own.in_(asked))

    prepared = db.prepare(("accounts by id", columns, slots), statement, AccountRow)
    values = {f"id_{number}": one for number, one in enumerate(filled_slots(ids, slots))}
    return await db.fetch(prepared, {"of_viewer": viewer_id, **values})


def _select(columns: tuple[str, ...], viewer_id: str, where: AccountFilter) -> Select[Any]:
    return accounts.connected(viewer_id, where).with_only_columns(*[_TABLE.columns[name] for name in columns])


def _shape(where: AccountFilter) -> Hashable:
    return where.statuses, len(where.health), len(where.actions), where.needle is not None, bool(where.needle)


def _total(viewer_id: str, where: AccountFilter) -> ColumnElement[int]:
    """Kept, if it is by status at most; counted else."""
    if where.health or where.actions or where.needle is not None:
        return accounts.connected(viewer_id, where).with_only_columns(func.count()).correlate(None).scalar_subquery()
    return account_totals.total(viewer_id, where.statuses)


def slots_for(count: int) -> int:
    """A power of two, so that few statements do for any number of ids."""
    return 1 << (count - 1).bit_length()


def filled_slots(ids: Iterable[UUID], slots: int) -> list[UUID]:
    given = list(ids)
    return given + given[-1:] * (slots - len(given))
