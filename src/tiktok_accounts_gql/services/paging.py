"""From a page request and a statement to a page with cursors."""

from typing import TypeVar

from sqlmodel import SQLModel

from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.keyset import Ordering, Range, Statement, read_slice
from tiktok_accounts_gql.pagination import Cursors, Edge, Page, PageRequest, Position

Model = TypeVar("Model", bound=SQLModel)


class Pager:
    """Reads pages; its key makes and checks the cursors."""

    def __init__(self, db: Database, cursor_key: bytes) -> None:
        self._db = db
        self._cursor_key = cursor_key

    async def read(
        self, viewer_id: str, statement: Statement[Model], ordering: Ordering, page: PageRequest
    ) -> Page[Model]:
        """Raises BadUserInput for cursors that are none of this viewer's in this ordering."""
        cursors = Cursors(self._cursor_key, viewer_id, ordering.name)
        within = Range(
            after=None if page.after is None else cursors.decode(page.after),
            before=None if page.before is None else cursors.decode(page.before),
        )
        async with self._db.read() as session:
            found = await read_slice(session, statement, ordering, within, size=page.size, backward=page.backward)
        edges = [Edge(cursors.encode(_position(row, ordering)), row) for row in found.rows]
        return Page.of(edges, has_next=found.has_next, has_previous=found.has_previous)


def _position(row: SQLModel, ordering: Ordering) -> Position:
    return Position(getattr(row, ordering.column.key), getattr(row, ordering.id.key))
