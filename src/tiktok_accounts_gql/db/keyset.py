"""Keyset pagination: a page is a range of an index, wherever it lies, in both directions.

Rows without a sort key come last in both directions. So an ordering by a nullable column is read as two ranges, first
the rows with a key and then those without; each of them is one run through the same index, forwards or backwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from tiktok_accounts_gql.pagination import Position

Model = TypeVar("Model", bound=SQLModel)
Statement = Select

_COMPARE = {(True, False): gt, (True, True): ge, (False, False): lt, (False, True): le}  # (larger ones, inclusive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """By which column, which way; ties are broken by id, the same way."""

    name: str
    column: Any
    id: Any
    descending: bool

    @property
    def nullable(self) -> bool:
        return bool(self.column.property.columns[0].nullable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Between two positions, both left out unless `inclusive`."""

    after: Position | None = None
    before: Position | None = None
    inclusive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Generic[Model]):
    """Rows in the ordering's direction, and whether there are more around them."""

    rows: Sequence[Model]
    has_next: bool
    has_previous: bool


async def read_slice(
    session: AsyncSession,
    statement: Select[Model],
    ordering: Ordering,
    within: Range,
    *,
    size: int,
    backward: bool,
) -> Slice[Model]:
    """The first `size` rows of `statement` in a range, or the last ones if `backward`."""
    rows = await _rows(session, statement, ordering, within, limit=size + 1, backward=backward)
    more, rows = len(rows) > size, rows[:size]
    up_to_start = Range(before=within.after, inclusive=True)
    from_end = Range(after=within.before, inclusive=True)
    beyond_start = within.after is not None and await _any(session, statement, ordering, up_to_start)
    beyond_end = within.before is not None and await _any(session, statement, ordering, from_end)
    if backward:
        return Slice(rows=rows[::-1], has_next=beyond_end, has_previous=more or beyond_start)
    return Slice(rows=rows, has_next=more or beyond_end, has_previous=beyond_start)


async def _rows(
    session: AsyncSession,
    statement: Select[Model],
    ordering: Ordering,
    within: Range,
    *,
    limit: int,
    backward: bool,
) -> list[Model]:
    rows: list[Model] = []
    for conditions in _runs(ordering, within, backward=backward):
        run = statement.where(*conditions).order_by(*_order(ordering, backward=backward)).limit(limit - len(rows))
        rows += await session.scalars(run)
        if len(rows) >= limit:
            break
    return rows


def _order(ordering: Ordering, *, backward: bool) -> list[Any]:
    columns = (ordering.column, ordering.id)
    return [column.desc() if ordering.descending != backward else column.asc() for column in columns]


def _runs(ordering: Ordering, within: Range, *, backward: bool) -> list[list[ColumnElement[bool]]]:
    """The conditions of each run through the index, in the order of reading."""
    if not ordering.nullable:
        return [_between(ordering, within)]
    runs = []
    if within.after is None or within.after.key is not None:
        runs.append([ordering.column.is_not(None), *_between(ordering, within)])
    if within.before is None or within.before.key is None:
        runs.append([ordering.column.is_(None), *_between(ordering, within, without_key=True)])
    return runs[::-1] if backward else runs


def _between(ordering: Ordering, within: Range, *, without_key: bool = False) -> list[ColumnElement[bool]]:
    conditions = []
    for position, later in ((within.after, True), (within.before, False)):
        if position is not None and (position.key is None) == without_key:
            place, at = _place(ordering, position, without_key=without_key)
            compare = _COMPARE[ordering.descending != later, within.inclusive]
            conditions.append(compare(place, at))
    return conditions


def _place(ordering: Ordering, position: Position, *, without_key: bool) -> tuple[Any, Any]:
    if without_key:
        return ordering.id, position.id
    key = literal(position.key, ordering.column.type)
    return tuple_(ordering.column, ordering.id), tuple_(key, literal(position.id, ordering.id.type))


async def _any(session: AsyncSession, statement: Select[Any], ordering: Ordering, within: Range) -> bool:
    """Looks from the position on, in order: asked for any row, PostgreSQL may read the whole table until it meets one."""
    order = _order(ordering, backward=within.before is not None)
    for conditions in _runs(ordering, within, backward=within.before is not None):
        nearest = statement.with_only_columns(ordering.id).where(*conditions).order_by(*order).limit(1)
        if await session.scalar(nearest) is not None:
            return True
    return False
