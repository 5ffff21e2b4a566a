"""Group commit for the audit events of reads, which are durable before the response leaves.

While one batch commits, the next one fills. So an event waits for one commit, or for the rest of one and the next, and a
thousand concurrent readers cost a few commits instead of a thousand.
"""

import asyncio
from functools import partial

from tiktok_accounts_gql.db import audit
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.errors import Deadlocked
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog

MAX_BATCH_SIZE = 1000  # calls of `write`

_append = retry_on_deadlock(audit.append)
_Entry = tuple[list[audit.EventValues], asyncio.Future[None]]


class AuditWriter:
    """Writes events in batches. A process has one."""

    def __init__(self, db: Database, failures: FailureLog | None = None) -> None:
        self._db = db
        self._failures = failures or FailureLog()
        self._queue: list[_Entry] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, events: list[audit.EventValues]) -> None:
        """Return when these events are committed. Raises the error of their commit."""
        if not events:
            return  # an INSERT without rows would insert one row of defaults
        done = asyncio.get_running_loop().create_future()
        self._queue.append((events, done))
        if self._task is None:
            self._task = asyncio.create_task(self._write_batches())
        await done

    async def close(self) -> None:
        """Wait for everything that is queued."""
        if self._task is not None:
            await self._task

    async def _write_batches(self) -> None:
        batch: list[_Entry] = []
        try:
            while self._queue:
                batch = []
                await self._write_batch(batch)
        finally:
            self._task = None
            for _, done in (*batch, *self._queue):
                done.cancel()  # no effect on futures that have a result
            self._queue.clear()

    async def _write_batch(self, batch: list[_Entry]) -> None:
        """Write a batch; if it is empty, the head of the queue.

        An event that cannot be stored rolls back its whole batch. Then each half is written alone, and so on, until only the
        caller of that event gets the error.
        """
        try:
            await _append(self._db, partial(self._fill, batch))
        except Exception as error:  # noqa: BLE001 - raised again in the callers of `write`
            self._fill(batch)
            # While the database is away, each half would only wait for it again.
            is_of_one_event = isinstance(error, Deadlocked) or not isinstance(error, ServiceUnavailable)
            if len(batch) > 1 and is_of_one_event:
                self._failures.record(FailureKind.AUDIT_GROUP, error, events=str(len(batch)))
                middle = len(batch) // 2
                for half in (batch[:middle], batch[middle:]):
                    await self._write_batch(half)
                return
            for _, done in batch:
                if not done.done():  # else its caller was canceled
                    done.set_exception(error)
        else:
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    def _fill(self, batch: list[_Entry]) -> list[audit.EventValues]:
        """Move the head of the queue into an empty batch; return the events of the batch.

        The database calls this once it has the connection (and the lock): what arrives until then is in the batch.
        """
        if not batch:
            batch += self._queue[:MAX_BATCH_SIZE]
            del self._queue[:MAX_BATCH_SIZE]
        return [event for events, _ in batch for event in events]
