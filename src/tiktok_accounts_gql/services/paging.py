"""From a page request and a statement to a page with cursors."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sqlmodel import SQLModel

from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.keyset import Ordering, Range, Slice, Statement, read_slice
from tiktok_accounts_gql.pagination import Cursors, Edge, Page, PageRequest

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

        async def read(within: Range) -> Slice[Model]:
            async with self._db.read() as session:
                return await read_slice(session, statement, ordering, within, size=page.size, backward=page.backward)

        return await self.page(viewer_id, ordering, page, read)

    async def page(
        self, viewer_id: str, ordering: Ordering, page: PageRequest, read: Callable[[Range], Awaitable[Slice[Any]]]
    ) -> Page[Any]:
        """Of what is read between the page's cursors. Raises BadUserInput as `read` does."""
        cursors = Cursors(self._cursor_key, viewer_id, ordering.name)
        within = Range(
            after=None if page.after is None else cursors.decode(page.after),
            before=None if page.before is None else cursors.decode(page.before),
        )
        found = await read(within)

        def cursor(row: Any) -> str:
            return cursors.encode(*ordering.place(row))

        edges = [Edge(row, cursor) for row in found.rows]
        return Page.of(edges, has_next=found.has_next, has_previous=found.has_previous, total=found.total)
