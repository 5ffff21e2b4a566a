"""Audit events of reads: durable before the answer leaves, written in groups.

While one group commits, the next one gathers, up to its turn. So an event waits for one commit, or for the rest of one and
the next, and a thousand readers cost a few commits instead of a thousand.
"""

import asyncio
from functools import partial

from tiktok_accounts_gql.db import audit
from tiktok_accounts_gql.db.again import again_if_undone
from tiktok_accounts_gql.db.database import Database, Deadlocked
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog

MAX_GROUP = 1000

_Waiting = tuple[list[audit.Values], asyncio.Future[None]]


class AuditWriter:
    """One per process."""

    def __init__(self, db: Database, failures: FailureLog | None = None) -> None:
        self._db = db
        self._failures = failures or FailureLog()
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, events: list[audit.Values]) -> None:
        """Returns once they are committed. Raises what the commit raised."""
        if not events:
            return  # an INSERT of no rows is one of an empty row
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((events, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_groups())
        await done

    async def close(self) -> None:
        if self._writing is not None:
            await self._writing

    async def _write_groups(self) -> None:
        group: list[_Waiting] = []
        try:
            while self._waiting:
                group = []
                await self._write_group(group)
        finally:
            self._writing = None
            for _, done in (*group, *self._waiting):
                done.cancel()  # without effect on those that were answered
            self._waiting.clear()

    async def _write_group(self, group: list[_Waiting]) -> None:
        """An event that cannot be stored undoes its group: its halves are written again, and theirs, until
        only its own reader is told.
        """
        try:
            await self._append(group)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for it
            self._gather(group)
            if len(group) > 1 and _is_undone(error):
                self._failures.record(FailureKind.AUDIT_GROUP, error, events=str(len(group)))
                middle = len(group) // 2
                for half in (group[:middle], group[middle:]):
                    await self._write_group(half)
                return
            outcome: Exception | None = error
        else:
            outcome = None
        for _, done in group:
            _resolve(done, outcome)

    @again_if_undone
    async def _append(self, group: list[_Waiting]) -> None:
        await audit.append(self._db, partial(self._gather, group))

    def _gather(self, group: list[_Waiting]) -> list[audit.Values]:
        """Nothing more if it was gathered before."""
        if not group:
            group += self._waiting[:MAX_GROUP]
            del self._waiting[:MAX_GROUP]
        return [event for events, _ in group for event in events]


def _is_undone(error: Exception) -> bool:
    """If the database went away, each alone would only wait for it again."""
    return isinstance(error, Deadlocked) or not isinstance(error, ServiceUnavailable)


def _resolve(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():  # its reader was cancelled
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
