"""Pages with cursors, from page requests and the rows that the database returns."""

from typing import Any, TypeVar

from sqlmodel import SQLModel

from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.keyset import Ordering, Range, Slice, Statement, select_slice
from tiktok_accounts_gql.pagination import Edge, Page, PageRequest

Model = TypeVar("Model", bound=SQLModel)


class Pager:
    """Lists pages of models."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def list_page(self, statement: Statement[Model], ordering: Ordering, request: PageRequest) -> Page[Model]:
        """Return a page of a statement's rows. Raises BadUserInput for a cursor of another ordering."""
        bounds = decode_bounds(ordering, request)
        async with self._db.read() as session:
            rows = await select_slice(
                session, statement, ordering, bounds, size=request.size, backward=request.backward
            )
        return build_page(ordering, rows)


def decode_bounds(ordering: Ordering, request: PageRequest) -> Range:
    """Return the range between the request's cursors. Raises BadUserInput for a cursor of another ordering."""
    codec = ordering.cursor_codec
    return Range(
        after=None if request.after is None else codec.decode(request.after),
        before=None if request.before is None else codec.decode(request.before),
    )


def build_page(ordering: Ordering, rows: Slice[Any]) -> Page[Any]:
    """Return a page whose edges encode their cursors when they are read."""
    codec = ordering.cursor_codec

    def encode_cursor(row: Any) -> str:
        return codec.encode(*ordering.extract_position(row))

    edges = [Edge(row, encode_cursor) for row in rows.rows]
    return Page.of(edges, has_next=rows.has_next, has_previous=rows.has_previous, total=rows.total)
