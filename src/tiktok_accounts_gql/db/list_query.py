"""Pages of frequently read lists: by statements that are compiled once for each shape, in one round trip."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, bindparam, or_, select

from tiktok_accounts_gql.db.compiled_statement import Row
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.keyset import (
    Ordering,
    Range,
    Slice,
    build_conditions,
    build_order_by,
    list_scans,
    select_nearest,
)

TOTAL, HAS_BEFORE, HAS_AFTER = "total", "beyond_start", "beyond_end"  # columns beside those of a list


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """A list whose statements are compiled once for each `shape`: `select` builds one, `values` are its parameters.

    `total` counts all rows of the list, in the statement that reads a page.
    """

    shape: Hashable
    select: Callable[[], Select[Any]]
    values: Mapping[str, Any]
    row_type: type[Row] = Row
    total: Callable[[], ColumnElement[int]] | None = None


async def fetch_slice(
    db: Database, query: ListQuery, ordering: Ordering, bounds: Range, *, size: int, backward: bool
) -> Slice[Any]:
    """Return what `keyset.select_slice` does, in one round trip if the first index scan has a row."""
    statements = _PageStatements(db=db, query=query, ordering=ordering, bounds=bounds, backward=backward)
    rows: list[Any] = []
    for without_key in list_scans(ordering, bounds, backward=backward):
        rows += await statements.fetch_rows(limit=size + 1 - len(rows), without_key=without_key)
        if len(rows) > size:
            break
    extras = rows[0] if rows else await statements.fetch_extras()
    has_more, rows = len(rows) > size, rows[:size]
    has_next = getattr(extras, HAS_AFTER, False) or (has_more and not backward)
    has_previous = getattr(extras, HAS_BEFORE, False) or (has_more and backward)
    rows = rows[::-1] if backward else rows
    total = getattr(extras, TOTAL, 0 if query.total else None)
    return Slice(rows=rows, has_next=bool(has_next), has_previous=bool(has_previous), total=total)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PageStatements:
    """The statements of one page."""

    db: Database
    query: ListQuery
    ordering: Ordering
    bounds: Range
    backward: bool
    shape: Hashable = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.query.shape, self.ordering.name, self.bounds.shape, self.backward)
        object.__setattr__(self, "shape", shape)

    async def fetch_rows(self, *, limit: int, without_key: bool) -> list[Any]:
        """Return the rows of one index scan, each with the extra columns."""

        def build() -> Select[Any]:
            statement = self.query.select().add_columns(*self._build_extras())
            statement = statement.where(*build_conditions(self.ordering, self.bounds, without_key=without_key))
            order_by = build_order_by(self.ordering, backward=self.backward)
            return statement.order_by(*order_by).limit(bindparam("size", type_=Integer))

        statement = self.db.compile((self.shape, without_key), build, self.query.row_type)
        return await self.db.fetch(statement, {**self.query.values, **self.bounds.values, "size": limit})

    async def fetch_extras(self) -> Any:
        """Return the extra columns for a page without rows; None for a whole list, which is empty then."""
        if not self.bounds.is_limited:
            return None
        statement = self.db.compile((self.shape, "extras"), lambda: select(*self._build_extras()))
        return (await self.db.fetch(statement, {**self.query.values, **self.bounds.values}))[0]

    def _build_extras(self) -> list[ColumnElement[Any]]:
        """Return the columns that every row repeats: the total, and whether there are rows beyond a given position."""
        extras: list[ColumnElement[Any]] = [self.query.total().label(TOTAL)] if self.query.total else []
        for name, bounds in ((HAS_BEFORE, self.bounds.up_to_start), (HAS_AFTER, self.bounds.from_end)):
            if bounds.is_limited:
                nearest = select_nearest(self.query.select(), self.ordering, bounds)
                subqueries = [statement.correlate(None).scalar_subquery() for statement in nearest]
                extras.append(or_(*[subquery.is_not(None) for subquery in subqueries]).label(name))
        return extras
