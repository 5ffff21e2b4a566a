"""Turns page requests into ranges of rows, and rows into pages with cursors."""

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlmodel import SQLModel

from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.keyset import Ordering, Range, Slice, Statement, read_slice
from tiktok_accounts_gql.pagination import Edge, Page, PageRequest

Model = TypeVar("Model", bound=SQLModel)


def to_range(request: PageRequest, ordering: Ordering) -> Range:
    """Decode the cursors of a request. Raises BadUserInput for cursors of another ordering."""
    cursors = ordering.cursors
    return Range(
        after=None if request.after is None else cursors.decode(request.after),
        before=None if request.before is None else cursors.decode(request.before),
    )


def to_page(rows: Slice[Any], ordering: Ordering) -> Page[Any]:
    """Give each row a cursor, which is encoded when it is first read: most lists are read for their nodes alone."""
    cursors = ordering.cursors

    def encode_cursor(row: Any) -> str:
        return cursors.encode(*ordering.place(row))

    edges = [Edge(row, encode_cursor) for row in rows.rows]
    return Page.of(edges, has_next=rows.has_next, has_previous=rows.has_previous, total=rows.total)


@dataclass(frozen=True, slots=True)
class Pager:
    """Reads one page of a statement."""

    db: Database

    async def read(self, statement: Statement[Model], ordering: Ordering, request: PageRequest) -> Page[Model]:
        """Return the requested page. Raises BadUserInput for cursors of another ordering."""
        cursor_range = to_range(request, ordering)
        async with self.db.read() as session:
            rows = await read_slice(
                session, statement, ordering, cursor_range, size=request.size, backward=request.backward
            )
        return to_page(rows, ordering)
