"""What a transaction writes at its end: in bulk, however often and wherever in it that was asked for."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

T = TypeVar("T")
Write = Callable[[AsyncSession, Sequence[T]], Awaitable[None]]

_KEY = "at its end"
_Writes = dict[Write[Any], list[Any]]


def at_end(session: AsyncSession, write: Write[T], items: Iterable[T]) -> None:
    """`write` gets all of its items at once, in the order in which they came.

    Nothing is written if the transaction does not come to its end. Only `Database.transaction()` has one.
    """
    writes: _Writes = session.info.setdefault(_KEY, {})
    writes.setdefault(write, []).extend(items)


async def close(session: AsyncSession) -> None:
    """Writes it, the latest kind first: counting a job may end it, and that is one more event."""
    writes: _Writes = session.info.get(_KEY, {})
    while writes:
        write, items = writes.popitem()
        await write(session, items)
