"""Batching of writes whose callers can wait for a moment: one transaction for several of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Generic, TypeVar, cast

from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.errors import Deadlocked
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.errors import ServiceUnavailable

# Between the results of a batch: each caller goes on to write something else, and on SQLite others would wait for all of them.
RESULT_SPACING = timedelta(milliseconds=15)


class BatchSignal(Enum):
    """What the write function returns instead of a result."""

    RETRY_ALONE = "retry alone"  # nothing was done for this item: it would have kept the others waiting for a lock


Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class _QueuedItem(Generic[Item, Result]):
    sort_key: Any
    item: Item
    future: asyncio.Future[Result]


class BatchWriter(Generic[Item, Result]):
    """Collects items and writes them together: few statements and one commit instead of many."""

    def __init__(
        self,
        db: Database,
        write: Callable[[Session, Sequence[Item]], Awaitable[Sequence[Result | BatchSignal]]],
        *,
        max_delay: timedelta,
        max_size: int,
    ) -> None:
        """Collect items for `max_delay`, or until there are `max_size` of them.

        `write` returns a result for each item, in their order, and never RETRY_ALONE for an item that comes alone.
        """
        self._db = db
        self._write = write
        self._max_delay_seconds = max_delay.total_seconds()
        self._max_size = max_size
        self._is_full = asyncio.Event()
        self._queue: list[_QueuedItem[Item, Result]] = []
        self._collecting: asyncio.Task[None] | None = None
        self._retries: set[asyncio.Task[None]] = set()

    async def run(self, sort_key: Any, item: Item) -> Result:
        """Return the item's result once its transaction has ended, or raise its error.

        Items of a batch are written in the order of `sort_key`, which is that of the rows that they lock. An item may be
        passed to `write` again after a rollback. Raises ServiceUnavailable.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append(_QueuedItem(sort_key=sort_key, item=item, future=future))
        if len(self._queue) >= self._max_size:
            self._is_full.set()
        if self._collecting is None:
            self._collecting = asyncio.create_task(self._collect())
        return await future

    async def run_now(self, item: Item) -> Result:
        """Write the item at once and alone. Raises ServiceUnavailable, and what `write` raises."""
        [result] = cast("Sequence[Result]", await self._write_in_transaction([item]))
        return result

    async def _collect(self) -> None:
        try:
            while self._queue:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._max_delay_seconds):
                        await self._is_full.wait()
                self._is_full.clear()
                batch, self._queue = self._queue, []
                await self._write_batch(batch)
        finally:
            self._collecting = None
            _cancel(self._queue)  # after a cancellation nothing would write them

    async def _write_batch(self, batch: list[_QueuedItem[Item, Result]]) -> None:
        """Write a batch and resolve its futures. An item's error rolls all of it back: retry each alone, to find it."""
        try:
            batch = sorted(batch, key=lambda entry: entry.sort_key)
            results = await self._write_in_transaction([entry.item for entry in batch])
            pairs = list(zip(batch, results, strict=True))
        except asyncio.CancelledError:
            _cancel(batch)
            raise
        except Exception as error:  # noqa: BLE001 - the callers get it
            # Whether anything was committed is unknown when the database became unavailable.
            is_rolled_back = isinstance(error, Deadlocked) or not isinstance(error, ServiceUnavailable)
            if len(batch) > 1 and is_rolled_back:
                for entry in batch:
                    await self._write_batch([entry])
                return
            for entry in batch:
                if not entry.future.done():
                    entry.future.set_exception(error)
        else:
            loop = asyncio.get_running_loop()
            for position, (entry, result) in enumerate(pairs):
                if isinstance(result, BatchSignal):
                    task = asyncio.create_task(self._write_batch([entry]))
                    self._retries.add(task)
                    task.add_done_callback(self._retries.discard)
                else:
                    loop.call_later(position * RESULT_SPACING.total_seconds(), _set_result, entry.future, result)

    @retry_on_deadlock
    async def _write_in_transaction(self, items: Sequence[Item]) -> Sequence[Result | BatchSignal]:
        async with self._db.transaction() as session:
            return await self._write(session, items)


def _cancel(entries: Sequence[_QueuedItem[Any, Any]]) -> None:
    for entry in entries:
        entry.future.cancel()


def _set_result(future: asyncio.Future[Result], result: Result) -> None:
    if not future.done():  # its caller may have been cancelled
        future.set_result(result)
