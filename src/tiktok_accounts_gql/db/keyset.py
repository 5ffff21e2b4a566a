"""Keyset pagination: a page is a range of an index, wherever it lies, in both directions.

Rows without a sort key come last in both directions. So an ordering by a nullable column is read as two ranges, first
the rows with a key and then those without; each of them is one run through the same index, forwards or backwards.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from operator import attrgetter, ge, gt, le, lt
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, bindparam, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from tiktok_accounts_gql.db.prepared import Row
from tiktok_accounts_gql.db.types import UtcDateTime
from tiktok_accounts_gql.pagination import Cursors, Position, SortKeys

Model = TypeVar("Model", bound=SQLModel | Row)
Statement = Select

_INT_BITS, _BIGINT_BITS = 32, 64
_COMPARE = {(True, False): gt, (True, True): ge, (False, False): lt, (False, True): le}  # (larger ones, inclusive)


@dataclass(frozen=True, kw_only=True)
class Ordering:
    """By which column, which way; ties are broken by id, the same way."""

    name: str
    column: Any
    id: Any
    descending: bool

    @cached_property
    def place(self) -> Callable[[Any], tuple[Any, UUID]]:
        """Of a row: its sort key and its id."""
        return attrgetter(self.column.key, self.id.key)

    @cached_property
    def nullable(self) -> bool:
        return bool(self.column.property.columns[0].nullable)

    @cached_property
    def cursors(self) -> Cursors:
        """They hold what the column can, so that no cursor makes a statement fail."""
        of = self.column.type
        kind = datetime if isinstance(of, UtcDateTime) else of.python_type
        most = _INT_BITS if type(of) is Integer else getattr(of, "length", None) or _BIGINT_BITS
        return Cursors(self.name, SortKeys(kind=kind, nullable=self.nullable, most=most))


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Between two positions, both left out unless `inclusive`. In statements they go by these names."""

    after: Position | None = None
    before: Position | None = None
    inclusive: bool = False
    names: tuple[str, str] = ("after", "before")

    @property
    def is_limited(self) -> bool:
        return self.after is not None or self.before is not None

    @property
    def up_to_start(self) -> "Range":
        return Range(before=self.after, inclusive=True, names=self.names[::-1])

    @property
    def from_end(self) -> "Range":
        return Range(after=self.before, inclusive=True, names=self.names[::-1])

    @property
    def shape(self) -> Hashable:
        return tuple(None if at is None else at.key is None for at in (self.after, self.before))

    @property
    def values(self) -> dict[str, Any]:
        ends = zip(self.names, (self.after, self.before), strict=True)
        return {f"{name}_{part}": getattr(at, part) for name, at in ends if at for part in ("key", "id")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Generic[Model]):
    """Rows in the ordering's direction, and whether there are more around them."""

    rows: Sequence[Model]
    has_next: bool
    has_previous: bool
    total: int | None = None


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
    beyond_start = within.after is not None and await _any(session, statement, ordering, within.up_to_start)
    beyond_end = within.before is not None and await _any(session, statement, ordering, within.from_end)
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
    for without_key in runs(ordering, within, backward=backward):
        run = statement.where(*conditions(ordering, within, without_key=without_key))
        run = run.order_by(*order(ordering, backward=backward)).limit(limit - len(rows))
        rows += await session.scalars(run)
        if len(rows) >= limit:
            break
    return rows


def order(ordering: Ordering, *, backward: bool) -> list[Any]:
    columns = (ordering.column, ordering.id)
    return [column.desc() if ordering.descending != backward else column.asc() for column in columns]


def runs(ordering: Ordering, within: Range, *, backward: bool) -> list[bool]:
    """Each run through the index, in the order of reading: whether it is the one over rows without a key."""
    found = []
    if not ordering.nullable or within.after is None or within.after.key is not None:
        found.append(False)
    if ordering.nullable and (within.before is None or within.before.key is None):
        found.append(True)
    return found[::-1] if backward else found


def conditions(ordering: Ordering, within: Range, *, without_key: bool) -> list[ColumnElement[bool]]:
    """Of one run."""
    between = _between(ordering, within, without_key=without_key)
    if not ordering.nullable:
        return between
    return [ordering.column.is_(None) if without_key else ordering.column.is_not(None), *between]


def _between(ordering: Ordering, within: Range, *, without_key: bool) -> list[ColumnElement[bool]]:
    found = []
    for name, position, later in zip(within.names, (within.after, within.before), (True, False), strict=True):
        if position is not None and (position.key is None) == without_key:
            place, at = _place(ordering, name, position, without_key=without_key)
            compare = _COMPARE[ordering.descending != later, within.inclusive]
            found.append(compare(place, at))
    return found


def _place(ordering: Ordering, name: str, position: Position, *, without_key: bool) -> tuple[Any, Any]:
    own_id = bindparam(f"{name}_id", position.id, ordering.id.type)
    if without_key:
        return ordering.id, own_id
    key = bindparam(f"{name}_key", position.key, ordering.column.type)
    return tuple_(ordering.column, ordering.id), tuple_(key, own_id)


def nearest(statement: Select[Any], ordering: Ordering, within: Range) -> list[Select[Any]]:
    """Looks from the position on, in order: asked for any row, PostgreSQL may read the whole table until it meets one."""
    backward = within.before is not None
    first = statement.with_only_columns(ordering.id).order_by(*order(ordering, backward=backward)).limit(1)
    return [
        first.where(*conditions(ordering, within, without_key=without_key))
        for without_key in runs(ordering, within, backward=backward)
    ]


async def _any(session: AsyncSession, statement: Select[Any], ordering: Ordering, within: Range) -> bool:
    for one in nearest(statement, ordering, within):
        if await session.scalar(one) is not None:
            return True
    return False
