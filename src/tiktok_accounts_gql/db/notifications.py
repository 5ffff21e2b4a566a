"""Events between processes: published in the transaction of the change, and heard once it commits.

On PostgreSQL by NOTIFY, which fires with the commit or not at all; a connection of its own listens. On SQLite, where one
process serves, by memory after the commit.

Changes of accounts are counted as well (`changes.py`), those of this process as soon as they commit.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self
from uuid import UUID, uuid4

import asyncpg
import orjson
import structlog
from sqlalchemy import ARRAY, Text, func, literal, select
from sqlalchemy import event as hooks
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.database_urls import for_asyncpg
from tiktok_accounts_gql.db.changes import Changes, HeardChanges
from tiktok_accounts_gql.db.closing import at_end
from tiktok_accounts_gql.events import CLOCK_MARGIN, AccountChanged, ChangeKind, Event, Hub, JobChanged, hash_viewer

CHANNEL = "accounts_events"
CHANGES_CHANNEL = "account_changes"  # on which the triggers speak
PROOF_CHANNEL = "accounts_proof"
PING_EVERY = timedelta(seconds=1)
TIMEOUT = timedelta(seconds=5)
FIRST_RETRY, LONGEST_RETRY = timedelta(milliseconds=100), timedelta(seconds=5)

_DATABASE_AWAY = (OSError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError)

log = structlog.get_logger()


def ignore(error: Exception) -> None:
    del error


class Notifications:
    """Publishes events to all processes, and hears theirs."""

    def __init__(
        self,
        *,
        engine: AsyncEngine | None,
        hub: Hub,
        changes: HeardChanges,
        clock: Clock,
        lost: Callable[[Exception], None] = ignore,
    ) -> None:
        """`engine`: for the connection that listens; None if there is one process. `lost` is told why it ended."""
        self._engine = engine
        self._hub = hub
        self._changes = changes
        self._clock = clock
        self._lost = lost
        self._heard_until = clock()

    @classmethod
    def open(
        cls, url: str, *, hub: Hub, changes: Changes, clock: Clock, lost: Callable[[Exception], None] = ignore
    ) -> Self:
        """`url` as `Settings.database_url` has it."""
        if not isinstance(changes, HeardChanges):
            return cls(engine=None, hub=hub, changes=HeardChanges(), clock=clock, lost=lost)
        address, arguments = for_asyncpg(url)
        arguments |= {"timeout": TIMEOUT.total_seconds(), "server_settings": {"application_name": CHANNEL}}
        engine = create_async_engine(address, poolclass=NullPool, connect_args=arguments)
        return cls(engine=engine, hub=hub, changes=changes, clock=clock, lost=lost)

    @property
    def has_listener(self) -> bool:
        """Whether other processes are to be heard."""
        return self._engine is not None

    def publish(self, session: AsyncSession, viewer_id: str, event: Event) -> None:
        """Tells whoever watches, if and when the session's transaction commits; the same event once."""
        at_end(session, self._publish, [(hash_viewer(viewer_id), event)])

    async def _publish(self, session: AsyncSession, addressed: Sequence[tuple[str, Event]]) -> None:
        told = dict.fromkeys(addressed)
        if self._engine is not None:
            messages = literal([_written(address, event) for address, event in told], ARRAY(Text))
            await session.execute(select(func.pg_notify(CHANNEL, func.unnest(messages).column_valued())))

        def committed(_: object) -> None:
            for address, event in told:
                if self._engine is None:
                    self._hub.publish(address, event)
                else:  # it comes back to this process too, but maybe after the answer to whoever changed something
                    self._changes.changed(address)

        hooks.listen(session.sync_session, "after_commit", committed, once=True)

    async def listen(self) -> None:
        """Until cancelled. After a time without a connection, everybody is told to read again.

        Whatever ends a connection, an error of the driver's that nobody expected as well, is followed by the next one.
        """
        delay = FIRST_RETRY
        while self._engine is not None:
            began = asyncio.get_running_loop().time()
            try:
                await self._hear(self._engine)
            except Exception as error:  # noqa: BLE001 - a process that listens no more shows old lists
                self._note(error)
            lasted = asyncio.get_running_loop().time() - began
            delay = FIRST_RETRY if lasted > LONGEST_RETRY.total_seconds() else min(delay * 2, LONGEST_RETRY)
            await asyncio.sleep(delay.total_seconds() * random.uniform(0.5, 1))  # noqa: S311 - no secret

    def _note(self, error: Exception) -> None:
        expected = isinstance(error, _DATABASE_AWAY)
        log.log(
            logging.WARNING if expected else logging.ERROR,
            "events are not heard",
            reason=type(error).__name__,
            exc_info=None if expected else error,
        )
        self._lost(error)

    async def _hear(self, engine: AsyncEngine) -> None:
        async with asyncio.timeout(TIMEOUT.total_seconds()):
            connection = await _connected(engine)
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: self._lose(lost))
            async with asyncio.timeout(TIMEOUT.total_seconds()):  # the driver's LISTEN has none
                await connection.add_listener(CHANNEL, self._heard)
                await connection.add_listener(CHANGES_CHANNEL, self._heard_change)
            self._hub.publish_resync(self._heard_until - CLOCK_MARGIN)  # only now: nothing falls in between
            await _prove_hearing(engine, connection)
            self._changes.begin()
            while not lost.is_set():
                asked = self._clock(), time.monotonic()
                await connection.execute("SELECT 1", timeout=TIMEOUT.total_seconds())
                self._heard_until = asked[0]
                if not lost.is_set():
                    self._changes.believe(asked[1])
                await _happens(lost, within=PING_EVERY)
        finally:
            self._changes.lose()
            connection.terminate()

    def _heard(self, connection: object, pid: int, channel: str, payload: str) -> None:
        del connection, pid, channel
        try:
            self._hub.publish(*_read(payload))
        except Exception:  # noqa: BLE001 - of another version, or of somebody else: anybody can send anything here
            log.warning("unknown event")

    def _heard_change(self, connection: object, pid: int, channel: str, payload: str) -> None:
        del connection, pid, channel
        self._changes.changed(payload)

    def _lose(self, lost: asyncio.Event) -> None:
        self._changes.lose()  # at once, before any request is read
        lost.set()


async def _connected(engine: AsyncEngine) -> Any:
    """The driver's own connection, in nobody's pool."""
    fairy = await engine.raw_connection()
    connection = fairy.driver_connection
    fairy.detach()
    return connection


async def _prove_hearing(engine: AsyncEngine, connection: Any) -> None:
    """A pooler may accept LISTEN and swallow what comes. Raises TimeoutError."""
    heard, word = asyncio.Event(), uuid4().hex

    def hear(connection: object, pid: int, channel: str, payload: str) -> None:
        del connection, pid, channel
        if payload == word:
            heard.set()

    await connection.add_listener(PROOF_CHANNEL, hear)
    other = await _connected(engine)
    try:
        await other.execute("SELECT pg_notify($1, $2)", PROOF_CHANNEL, word, timeout=TIMEOUT.total_seconds())
        async with asyncio.timeout(TIMEOUT.total_seconds()):
            await heard.wait()
    finally:
        other.terminate()
    await connection.remove_listener(PROOF_CHANNEL, hear)


async def _happens(event: asyncio.Event, *, within: timedelta) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within.total_seconds()):
            await event.wait()


def _written(address: str, event: Event) -> str:
    if isinstance(event, JobChanged):
        return orjson.dumps({"to": address, "job": str(event.job_id)}).decode()
    return orjson.dumps({"to": address, "account": str(event.account_id), "kind": event.kind}).decode()


def _read(payload: str) -> tuple[str, Event]:
    """Raises whatever a payload of another shape leads to."""
    values = orjson.loads(payload)
    if "job" in values:
        return values["to"], JobChanged(job_id=UUID(values["job"]))
    return values["to"], AccountChanged(account_id=UUID(values["account"]), kind=ChangeKind(values["kind"]))
