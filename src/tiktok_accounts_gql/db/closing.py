"""What a transaction writes at its end: in bulk, however often and wherever in it that was asked for."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

T = TypeVar("T")
Write = Callable[[AsyncSession, Sequence[T]], Awaitable[None]]

_KEY = "at its end"
_Writes = dict[Write[Any], list[Any]]


def at_end(session: AsyncSession, write: Write[T], items: Iterable[T]) -> None:
    """`write` gets all of its items at once, in the order in which they came; nothing if the transaction is undone.

    Raises KeyError outside of `Database.transaction()`: nothing has an end there, and it would be lost.
    """
    writes: _Writes = session.info[_KEY]
    writes.setdefault(write, []).extend(items)


@asynccontextmanager
async def closing(session: AsyncSession) -> AsyncGenerator[None]:
    """A transaction's block, but for its commit: what it left to its end is written then.

    The latest kind comes first: counting a job may end it, and that is one more event.
    """
    writes: _Writes = session.info.setdefault(_KEY, {})
    yield
    while writes:
        write, items = writes.popitem()
        await write(session, items)
    del session.info[_KEY]
