"""Work of several callers in one transaction: for what nobody waits for."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Generic, TypeVar, cast

from tiktok_accounts_gql.db.again import again_if_undone
from tiktok_accounts_gql.db.database import Database, Deadlocked, Session
from tiktok_accounts_gql.errors import ServiceUnavailable

# Between the answers to a group: whoever gets one goes on with writing something else, and on SQLite others would wait for all.
APART = timedelta(milliseconds=15)


class Alone(Enum):
    """Instead of an answer: nothing was done for this item, and the others shall not wait for what it has to wait for."""

    LATER = "later"


Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member(Generic[Item, Outcome]):
    order: Any
    item: Item
    done: asyncio.Future[Outcome]


class Grouped(Generic[Item, Outcome]):
    """Collects items for a moment, and writes them together: few statements and one commit instead of many."""

    def __init__(
        self,
        db: Database,
        write: Callable[[Session, Sequence[Item]], Awaitable[Sequence[Outcome | Alone]]],
        *,
        moment: timedelta,
        most: int,
    ) -> None:
        """`write` answers for each item, in their order; an item that comes alone is never told LATER.

        `most`: with so many the moment is over.
        """
        self._db = db
        self._write_all = write
        self._moment = moment.total_seconds()
        self._most = most
        self._full = asyncio.Event()
        self._waiting: list[_Member[Item, Outcome]] = []
        self._collecting: asyncio.Task[None] | None = None
        self._alone: set[asyncio.Task[None]] = set()

    async def run(self, order: Any, item: Item) -> Outcome:
        """What was answered for it, or the error, once its transaction has ended; it may be written twice, once undone.

        Items of one group are in the order of `order`: that of the rows they lock. Raises ServiceUnavailable.
        """
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Member(order=order, item=item, done=done))
        if len(self._waiting) >= self._most:
            self._full.set()
        if self._collecting is None:
            self._collecting = asyncio.create_task(self._collect())
        return await done

    async def alone(self, item: Item) -> Outcome:
        """At once, for somebody who waits. Raises ServiceUnavailable, and what `write` raises."""
        [outcome] = cast("Sequence[Outcome]", await self._written([item]))
        return outcome

    async def _collect(self) -> None:
        try:
            while self._waiting:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._moment):
                        await self._full.wait()
                self._full.clear()
                group, self._waiting = self._waiting, []
                await self._write(group)
        finally:
            self._collecting = None
            _cancel(self._waiting)  # nobody is left that would write them

    async def _write(self, group: list[_Member[Item, Outcome]]) -> None:
        """A mistake undoes everybody's work: done again, each alone, it is only whose it was."""
        try:
            ordered = sorted(group, key=lambda member: member.order)
            outcomes = await self._written([member.item for member in ordered])
            answers = list(zip(ordered, outcomes, strict=True))
        except asyncio.CancelledError:
            _cancel(group)
            raise
        except Exception as error:  # noqa: BLE001 - it is told to whoever asked
            if len(group) > 1 and _is_undone(error):
                for member in group:
                    await self._write([member])
                return
            for member in group:
                if not member.done.done():
                    member.done.set_exception(error)
        else:
            loop = asyncio.get_running_loop()
            for place, (member, outcome) in enumerate(answers):
                if isinstance(outcome, Alone):
                    self._write_beside(member)
                else:
                    loop.call_later(place * APART.total_seconds(), _answer, member.done, outcome)

    def _write_beside(self, member: _Member[Item, Outcome]) -> None:
        task = asyncio.create_task(self._write([member]))
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)

    @again_if_undone
    async def _written(self, items: Sequence[Item]) -> Sequence[Outcome | Alone]:
        async with self._db.transaction() as session:
            return await self._write_all(session, items)


def _cancel(members: Sequence[_Member[Any, Any]]) -> None:
    for member in members:
        member.done.cancel()


def _answer(done: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not done.done():  # by who left
        done.set_result(outcome)


def _is_undone(error: Exception) -> bool:
    """If the database went away, nobody knows."""
    return isinstance(error, Deadlocked) or not isinstance(error, ServiceUnavailable)
