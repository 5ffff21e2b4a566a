"""From a page request and a statement to a page with cursors."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sqlmodel import SQLModel

from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.keyset import Ordering, Range, Slice, Statement, select_slice
from tiktok_accounts_gql.pagination import Edge, Page, PageRequest

Model = TypeVar("Model", bound=SQLModel)


class Pager:
    """Reads pages."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def read(self, statement: Statement[Model], ordering: Ordering, page: PageRequest) -> Page[Model]:
        """Raises BadUserInput for cursors of another ordering."""

        async def read(within: Range) -> Slice[Model]:
            async with self._db.read() as session:
                return await select_slice(session, statement, ordering, within, size=page.size, backward=page.backward)

        return await self.page(ordering, page, read)

    @staticmethod
    async def page(ordering: Ordering, page: PageRequest, read: Callable[[Range], Awaitable[Slice[Any]]]) -> Page[Any]:
        """Of what is read between the page's cursors. Raises BadUserInput as `read` does."""
        cursors = ordering.cursor_codec
        within = Range(
            after=None if page.after is None else cursors.decode(page.after),
            before=None if page.before is None else cursors.decode(page.before),
        )
        found = await read(within)

        def cursor(row: Any) -> str:
            return cursors.encode(*ordering.extract_position(row))

        edges = [Edge(row, cursor) for row in found.rows]
        return Page.of(edges, has_next=found.has_next, has_previous=found.has_previous, total=found.total)
