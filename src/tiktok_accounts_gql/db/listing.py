"""Pages of lists that are read again and again: by statements that are prepared once for each shape, in one round trip."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, bindparam, or_, select

from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.keyset import Ordering, Range, Slice, conditions, nearest, order, runs
from tiktok_accounts_gql.db.prepared import Row

TOTAL, BEYOND_START, BEYOND_END = "total", "beyond_start", "beyond_end"  # columns beside those of a list


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
    for without_key in runs(ordering, within, backward=backward):
        rows += await reading.rows(limit=size + 1 - len(rows), without_key=without_key)
        if len(rows) > size:
            break
    around = rows[0] if rows else await reading.around()
    more, rows = len(rows) > size, rows[:size]
    has_next = getattr(around, BEYOND_END, False) or (more and not backward)
    has_previous = getattr(around, BEYOND_START, False) or (more and backward)
    rows = rows[::-1] if backward else rows
    total = getattr(around, TOTAL, 0 if listing.total else None)
    return Slice(rows=rows, has_next=bool(has_next), has_previous=bool(has_previous), total=total)


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
        """What would stand in each row of a page that has none; None for a whole list, which is empty then."""
        if not self.within.is_limited:
            return None
        prepared = self.db.prepare((self.shape, "around"), lambda: select(*self._extras()))
        return (await self.db.fetch(prepared, {**self.listing.values, **self.within.values}))[0]

    def _select(self, *, without_key: bool) -> Select[Any]:
        listed = self.listing.select().add_columns(*self._extras())
        listed = listed.where(*conditions(self.ordering, self.within, without_key=without_key))
        return listed.order_by(*order(self.ordering, backward=self.backward)).limit(bindparam("size", type_=Integer))

    def _extras(self) -> list[ColumnElement[Any]]:
        """No more than what has to be asked for: they stand in every row."""
        total = [self.listing.total().label(TOTAL)] if self.listing.total else []
        ranges = {BEYOND_START: self.within.up_to_start, BEYOND_END: self.within.from_end}
        return [*total, *[self._any(there).label(name) for name, there in ranges.items() if there.is_limited]]

    def _any(self, within: Range) -> ColumnElement[bool]:
        found = nearest(self.listing.select(), self.ordering, within)
        return or_(*[one.correlate(None).scalar_subquery().is_not(None) for one in found])
