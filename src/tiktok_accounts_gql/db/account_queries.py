"""Queries that read accounts as rows: only the requested columns, by statements that are compiled once for their shape."""

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, bindparam, func, select
from sqlmodel import SQLModel

from tiktok_accounts_gql.db import account_totals, accounts
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.db.compiled_statement import Row
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.keyset import Ordering, Range, Slice
from tiktok_accounts_gql.db.list_query import ListQuery, fetch_slice
from tiktok_accounts_gql.pagination import PageRequest

_TABLE: Table = SQLModel.metadata.tables["accounts"]
_ALL_COLUMNS = frozenset(_TABLE.columns.keys())
_PUBLIC_COLUMNS = _ALL_COLUMNS - {"search_text", "next_sync_at"}


class AccountRow(Row):
    """The requested columns of an account."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadHints:
    """What a request will read of a list: `attributes` of its accounts, None for all; and whether it reads the `total`."""

    attributes: frozenset[str] | None = None
    total: bool = False


LOAD_ALL = LoadHints()


@lru_cache(maxsize=500)
def resolve_columns(attributes: frozenset[str] | None, *required: str) -> tuple[str, ...]:
    """Return the columns to select, in the table's order.

    They are the attributes and the required ones; all public columns if the attributes are unknown, or if one of them is
    not a column.
    """
    names = _PUBLIC_COLUMNS
    if attributes is not None and _ALL_COLUMNS.issuperset(attributes):
        names = attributes.union(required)
    return tuple(name for name in _TABLE.columns.keys() if name in names)  # noqa: SIM118 - in their order


async def fetch_page(
    db: Database,
    viewer_id: str,
    filter: AccountFilter,
    ordering: Ordering,
    page: PageRequest,
    bounds: Range,
    hints: LoadHints = LOAD_ALL,
) -> Slice[Any]:
    """Return a page of AccountRows, with the total if the hints ask for it."""
    columns = resolve_columns(hints.attributes, ordering.column.key, ordering.id.key)
    query = ListQuery(
        shape=(columns, _shape_of(filter), hints.total),
        select=lambda: _select(columns, viewer_id, filter),
        values=accounts.build_parameters(viewer_id, filter),
        row_type=AccountRow,
        total=(lambda: _build_total(viewer_id, filter)) if hints.total else None,
    )
    return await fetch_slice(db, query, ordering, bounds, size=page.size, backward=page.backward)


async def count(db: Database, viewer_id: str, filter: AccountFilter) -> int:
    statement = db.compile(
        ("count of accounts", _shape_of(filter)), lambda: select(_build_total(viewer_id, filter).label("total"))
    )
    [row] = await db.fetch(statement, accounts.build_parameters(viewer_id, filter))
    return int(row.total)


async def list_by_ids(
    db: Database, viewer_id: str, ids: Collection[UUID], attributes: frozenset[str] | None = None
) -> Sequence[Any]:
    """Return the viewer's accounts of these ids as AccountRows."""
    if not ids:
        return []
    columns, size = resolve_columns(attributes, "id"), padded_size(len(ids))

    def build() -> Select[Any]:
        column: Any = _TABLE.columns["id"]
        parameters = [bindparam(f"id_{number}", type_=column.type) for number in range(size)]
        return _select(columns, viewer_id, AccountFilter()).where(column.in_(parameters))

    statement = db.compile(("accounts by id", columns, size), build, AccountRow)
    values = {f"id_{number}": account_id for number, account_id in enumerate(pad(ids, size))}
    return await db.fetch(statement, {"of_viewer": viewer_id, **values})


def _select(columns: tuple[str, ...], viewer_id: str, filter: AccountFilter) -> Select[Any]:
    statement = accounts.select_connected(viewer_id, filter)
    return statement.with_only_columns(*[_TABLE.columns[name] for name in columns])


def _shape_of(filter: AccountFilter) -> Hashable:
    """Return what distinguishes the statements of filters. Statuses are in it because they select the total's columns."""
    return filter.statuses, len(filter.health), len(filter.actions), filter.needle is not None, bool(filter.needle)


def _build_total(viewer_id: str, filter: AccountFilter) -> ColumnElement[int]:
    """Return a subquery for the total: from the stored totals, or a count if the filter has more than statuses."""
    if filter.health or filter.actions or filter.needle is not None:
        statement = accounts.select_connected(viewer_id, filter)
        return statement.with_only_columns(func.count()).correlate(None).scalar_subquery()
    return account_totals.build_total(viewer_id, filter.statuses)


def padded_size(count: int) -> int:
    """Return the next power of two: a few compiled statements serve any number of ids."""
    return 1 << (count - 1).bit_length()


def pad(ids: Iterable[UUID], size: int) -> list[UUID]:
    """Return the ids, with the last one repeated up to `size`."""
    padded = list(ids)
    return padded + padded[-1:] * (size - len(padded))
