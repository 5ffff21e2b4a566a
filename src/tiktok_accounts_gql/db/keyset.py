"""Keyset pagination: a page is a range of an index, wherever it starts, in both directions.

Rows without a sort key come last in both directions. So an ordering by a nullable column takes up to two index scans:
first the rows with a key and then those without one, through the same index, forwards or backwards.
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

from tiktok_accounts_gql.db.compiled_statement import Row
from tiktok_accounts_gql.db.types import UtcDateTime
from tiktok_accounts_gql.pagination import CursorCodec, Position, SortKeyType

Model = TypeVar("Model", bound=SQLModel | Row)
Statement = Select

_INT_BITS, _BIGINT_BITS = 32, 64
_COMPARISONS = {(True, False): gt, (True, True): ge, (False, False): lt, (False, True): le}  # by (is_larger, inclusive)


@dataclass(frozen=True, kw_only=True)
class Ordering:
    """By which column a list is sorted, and in which direction. Ties are broken by id, in the same direction."""

    name: str
    column: Any
    id: Any
    descending: bool

    @cached_property
    def extract_position(self) -> Callable[[Any], tuple[Any, UUID]]:
        """A function that returns a row's sort key and id."""
        return attrgetter(self.column.key, self.id.key)

    @cached_property
    def nullable(self) -> bool:
        return bool(self.column.property.columns[0].nullable)

    @cached_property
    def cursor_codec(self) -> CursorCodec:
        """The codec of this ordering's cursors. It accepts what the column can hold, so no cursor fails a statement."""
        column_type = self.column.type
        key_type = datetime if isinstance(column_type, UtcDateTime) else column_type.python_type
        is_int32 = type(column_type) is Integer
        max_size = _INT_BITS if is_int32 else getattr(column_type, "length", None) or _BIGINT_BITS
        return CursorCodec(self.name, SortKeyType(type=key_type, nullable=self.nullable, max_size=max_size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The rows between two positions, whose own rows are left out unless `inclusive`.

    `names` are the prefixes of the two positions' parameters in statements.
    """

    after: Position | None = None
    before: Position | None = None
    inclusive: bool = False
    names: tuple[str, str] = ("after", "before")

    @property
    def is_limited(self) -> bool:
        return self.after is not None or self.before is not None

    @property
    def up_to_start(self) -> "Range":
        """The rows before this range."""
        return Range(before=self.after, inclusive=True, names=self.names[::-1])

    @property
    def from_end(self) -> "Range":
        """The rows after this range."""
        return Range(after=self.before, inclusive=True, names=self.names[::-1])

    @property
    def shape(self) -> Hashable:
        """What distinguishes the statements of ranges: which positions there are, and which of them have no sort key."""
        return tuple(None if position is None else position.key is None for position in (self.after, self.before))

    @property
    def values(self) -> dict[str, Any]:
        """The parameters of the positions."""
        ends = zip(self.names, (self.after, self.before), strict=True)
        return {f"{name}_{part}": getattr(end, part) for name, end in ends if end for part in ("key", "id")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Generic[Model]):
    """Rows in the ordering's direction, and whether there are more rows before and after them."""

    rows: Sequence[Model]
    has_next: bool
    has_previous: bool
    total: int | None = None


async def select_slice(
    session: AsyncSession,
    statement: Select[Model],
    ordering: Ordering,
    bounds: Range,
    *,
    size: int,
    backward: bool,
) -> Slice[Model]:
    """Return the first `size` rows of `statement` in a range, or the last ones if `backward`."""
    limit = size + 1  # one more, to see whether there are more
    rows: list[Model] = []
    for without_key in list_scans(ordering, bounds, backward=backward):
        scan = statement.where(*build_conditions(ordering, bounds, without_key=without_key))
        scan = scan.order_by(*build_order_by(ordering, backward=backward)).limit(limit - len(rows))
        rows += await session.scalars(scan)
        if len(rows) >= limit:
            break
    has_more, rows = len(rows) > size, rows[:size]
    has_before = bounds.after is not None and await _has_rows(session, statement, ordering, bounds.up_to_start)
    has_after = bounds.before is not None and await _has_rows(session, statement, ordering, bounds.from_end)
    if backward:
        return Slice(rows=rows[::-1], has_next=has_after, has_previous=has_more or has_before)
    return Slice(rows=rows, has_next=has_more or has_after, has_previous=has_before)


async def _has_rows(session: AsyncSession, statement: Select[Any], ordering: Ordering, bounds: Range) -> bool:
    for nearest in select_nearest(statement, ordering, bounds):
        if await session.scalar(nearest) is not None:
            return True
    return False


def build_order_by(ordering: Ordering, *, backward: bool) -> list[Any]:
    columns = (ordering.column, ordering.id)
    return [column.desc() if ordering.descending != backward else column.asc() for column in columns]


def list_scans(ordering: Ordering, bounds: Range, *, backward: bool) -> list[bool]:
    """Return the index scans of a range in the order of reading: for each, whether it reads the rows without a key."""
    scans = []
    if not ordering.nullable or bounds.after is None or bounds.after.key is not None:
        scans.append(False)
    if ordering.nullable and (bounds.before is None or bounds.before.key is None):
        scans.append(True)
    return scans[::-1] if backward else scans


def build_conditions(ordering: Ordering, bounds: Range, *, without_key: bool) -> list[ColumnElement[bool]]:
    """Return the conditions of one index scan."""
    conditions: list[ColumnElement[bool]] = []
    if ordering.nullable:
        conditions.append(ordering.column.is_(None) if without_key else ordering.column.is_not(None))
    for name, position, is_later in zip(bounds.names, (bounds.after, bounds.before), (True, False), strict=True):
        if position is not None and (position.key is None) == without_key:
            columns, values = _build_comparison(ordering, name, position)
            compare = _COMPARISONS[ordering.descending != is_later, bounds.inclusive]
            conditions.append(compare(columns, values))
    return conditions


def _build_comparison(ordering: Ordering, name: str, position: Position) -> tuple[Any, Any]:
    """Return the columns and the parameters that compare rows to a position: by id alone if it has no sort key."""
    row_id = bindparam(f"{name}_id", position.id, ordering.id.type)
    if position.key is None:
        return ordering.id, row_id
    key = bindparam(f"{name}_key", position.key, ordering.column.type)
    return tuple_(ordering.column, ordering.id), tuple_(key, row_id)


def select_nearest(statement: Select[Any], ordering: Ordering, bounds: Range) -> list[Select[Any]]:
    """Return statements for the row that is nearest to a range's position, one for each index scan.

    They are ordered, because PostgreSQL may scan the whole table for an unordered "any row".
    """
    backward = bounds.before is not None
    order_by = build_order_by(ordering, backward=backward)
    nearest = statement.with_only_columns(ordering.id).order_by(*order_by).limit(1)
    return [
        nearest.where(*build_conditions(ordering, bounds, without_key=without_key))
        for without_key in list_scans(ordering, bounds, backward=backward)
    ]
