"""Work of several callers in one transaction: for what nobody waits for."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from tiktok_accounts_gql.db.database import Database, Deadlocked, Session
from tiktok_accounts_gql.errors import ServiceUnavailable

T = TypeVar("T")
Work = Callable[[Session], Awaitable[T]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    order: Any
    work: Work[Any]
    done: asyncio.Future[Any]


class Grouped:
    """Collects work for a moment, and does it together: one commit instead of many."""

    def __init__(self, db: Database, *, moment: timedelta, most: int) -> None:
        """`most`: with so many the moment is over."""
        self._db = db
        self._moment = moment.total_seconds()
        self._most = most
        self._full = asyncio.Event()
        self._waiting: list[_Member] = []
        self._collecting: asyncio.Task[None] | None = None

    async def run(self, order: Any, work: Work[T]) -> T:
        """What `work` returns or raises, once its transaction has ended; it may be run twice, the first time undone.

        Work of one group is done in the order of `order`: that of the rows it locks. Raises ServiceUnavailable.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Member(order=order, work=work, done=done))
        if len(self._waiting) >= self._most:
            self._full.set()
        if self._collecting is None:
            self._collecting = asyncio.create_task(self._collect())
        return await done

    async def alone(self, work: Work[T]) -> T:
        """At once, for somebody who waits. Raises ServiceUnavailable, and what `work` raises."""
        async with self._db.transaction() as session:
            return await work(session)

    async def _collect(self) -> None:
        try:
            while self._waiting:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._full.wait(), self._moment)
                self._full.clear()
                group, self._waiting = self._waiting, []
                await self._write(sorted(group, key=lambda member: member.order))
        finally:
            self._collecting = None

    async def _write(self, group: list[_Member]) -> None:
        """A mistake undoes everybody's work: done again, each alone, it is only whose it was."""
        try:
            async with self._db.transaction() as session:
                outcomes = [await member.work(session) for member in group]
        except Exception as error:  # noqa: BLE001 - it is told to whoever asked
            if len(group) > 1 and _is_undone(error):
                for member in group:
                    await self._write([member])
                return
            for member in group:
                if not member.done.done():
                    member.done.set_exception(error)
        else:
            for member, outcome in zip(group, outcomes, strict=True):
                if not member.done.done():
                    member.done.set_result(outcome)


def _is_undone(error: Exception) -> bool:
    """If the database went away, nobody knows."""
    return isinstance(error, Deadlocked) or not isinstance(error, ServiceUnavailable)
