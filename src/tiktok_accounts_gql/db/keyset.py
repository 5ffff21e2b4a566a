"""Keyset pagination: a page is a range of an index, wherever it lies, in both directions.

Rows without a sort key come last in both directions. So an ordering by a nullable column is read as two ranges, first
the rows with a key and then those without; each of them is one run through the same index, forwards or backwards.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter, ge, gt, le, lt
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, bindparam, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.prepared import Row
from tiktok_accounts_gql.pagination import Position

Model = TypeVar("Model", bound=SQLModel | Row)
Statement = Select

TOTAL, BEYOND_START, BEYOND_END = "total", "beyond_start", "beyond_end"  # columns beside those of a list
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list whose statements are compiled once for each `shape`: `select` builds one, `values` are its parameters.

    `total` counts all rows of the list, in the statement that reads a page.
    """

    shape: Hashable
    select: Callable[[], Select[Any]]
    values: Mapping[str, Any]
    row: type[Row] = Row
    total: Callable[[], ColumnElement[int]] | None = None


async def read_listed(
    db: Database, listing: Listing, ordering: Ordering, within: Range, *, size: int, backward: bool
) -> Slice[Any]:
    """As `read_slice`, in one round trip if there is a row in the first range that is read."""
    reading = _Reading(db=db, listing=listing, ordering=ordering, within=within, backward=backward)
    rows: list[Any] = []
    for without_key in _runs(ordering, within, backward=backward):
        rows += await reading.rows(limit=size + 1 - len(rows), without_key=without_key)
        if len(rows) > size:
            break
    around = rows[0] if rows else await reading.around()
    more, rows = len(rows) > size, rows[:size]
    has_next = getattr(around, BEYOND_END, False) or (more and not backward)
    has_previous = getattr(around, BEYOND_START, False) or (more and backward)
    rows = rows[::-1] if backward else rows
    total = getattr(around, TOTAL, None)
    return Slice(rows=rows, has_next=bool(has_next), has_previous=bool(has_previous), total=total)


class _Nothing(NamedTuple):
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One page's statements."""

    db: Database
    listing: Listing
    ordering: Ordering
    within: Range
    backward: bool
    shape: Hashable = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.listing.shape, self.ordering.name, self.within.shape, self.backward)
        object.__setattr__(self, "shape", shape)

    async def rows(self, *, limit: int, without_key: bool) -> list[Any]:
        prepared = self.db.prepare(
            (self.shape, without_key), lambda: self._select(without_key=without_key), self.listing.row
        )
        return await self.db.fetch(prepared, {**self.listing.values, **self.within.values, "size": limit})

    async def around(self) -> Any:
        """What stands in each row, for a page that has none."""
        if not self.within.is_limited:
            return _Nothing() if self.listing.total else None
        prepared = self.db.prepare((self.shape, "around"), lambda: select(*self._extras()))
        return (await self.db.fetch(prepared, {**self.listing.values, **self.within.values}))[0]

    def _select(self, *, without_key: bool) -> Select[Any]:
        conditions = _conditions(self.ordering, self.within, without_key=without_key)
        listed = self.listing.select().add_columns(*self._extras()).where(*conditions)
        return listed.order_by(*_order(self.ordering, backward=self.backward)).limit(bindparam("size", type_=Integer))

    def _extras(self) -> list[ColumnElement[Any]]:
        """No more than what has to be asked for: they stand in every row."""
        total = [self.listing.total().label(TOTAL)] if self.listing.total else []
        ranges = {BEYOND_START: self.within.up_to_start, BEYOND_END: self.within.from_end}
        return [*total, *[self._any(there).label(name) for name, there in ranges.items() if there.is_limited]]

    def _any(self, within: Range) -> ColumnElement[bool]:
        runs = _nearest(self.listing.select(), self.ordering, within)
        return or_(*[run.correlate(None).scalar_subquery().is_not(None) for run in runs])


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
    for without_key in _runs(ordering, within, backward=backward):
        conditions = _conditions(ordering, within, without_key=without_key)
        run = statement.where(*conditions).order_by(*_order(ordering, backward=backward)).limit(limit - len(rows))
        rows += await session.scalars(run)
        if len(rows) >= limit:
            break
    return rows


def _order(ordering: Ordering, *, backward: bool) -> list[Any]:
    columns = (ordering.column, ordering.id)
    return [column.desc() if ordering.descending != backward else column.asc() for column in columns]


def _runs(ordering: Ordering, within: Range, *, backward: bool) -> list[bool]:
    """Each run through the index, in the order of reading: whether it is the one over rows without a key."""
    runs = []
    if not ordering.nullable or within.after is None or within.after.key is not None:
        runs.append(False)
    if ordering.nullable and (within.before is None or within.before.key is None):
        runs.append(True)
    return runs[::-1] if backward else runs


def _conditions(ordering: Ordering, within: Range, *, without_key: bool) -> list[ColumnElement[bool]]:
    """Of one run."""
    between = _between(ordering, within, without_key=without_key)
    if not ordering.nullable:
        return between
    return [ordering.column.is_(None) if without_key else ordering.column.is_not(None), *between]


def _between(ordering: Ordering, within: Range, *, without_key: bool) -> list[ColumnElement[bool]]:
    conditions = []
    for name, position, later in zip(within.names, (within.after, within.before), (True, False), strict=True):
        if position is not None and (position.key is None) == without_key:
            place, at = _place(ordering, name, position, without_key=without_key)
            compare = _COMPARE[ordering.descending != later, within.inclusive]
            conditions.append(compare(place, at))
    return conditions


def _place(ordering: Ordering, name: str, position: Position, *, without_key: bool) -> tuple[Any, Any]:
    own_id = bindparam(f"{name}_id", position.id, ordering.id.type)
    if without_key:
        return ordering.id, own_id
    key = bindparam(f"{name}_key", position.key, ordering.column.type)
    return tuple_(ordering.column, ordering.id), tuple_(key, own_id)


def _nearest(statement: Select[Any], ordering: Ordering, within: Range) -> list[Select[Any]]:
    """Looks from the position on, in order: asked for any row, PostgreSQL may read the whole table until it meets one."""
    backward = within.before is not None
    nearest = statement.with_only_columns(ordering.id).order_by(*_order(ordering, backward=backward)).limit(1)
    runs = _runs(ordering, within, backward=backward)
    return [nearest.where(*_conditions(ordering, within, without_key=without_key)) for without_key in runs]


async def _any(session: AsyncSession, statement: Select[Any], ordering: Ordering, within: Range) -> bool:
    for nearest in _nearest(statement, ordering, within):
        if await session.scalar(nearest) is not None:
            return True
    return False
