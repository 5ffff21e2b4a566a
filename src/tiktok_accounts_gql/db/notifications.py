"""Events between processes: published in the transaction of a change, and received once it commits.

PostgreSQL sends them by NOTIFY, which fires with the commit or not at all; a connection of its own listens. On SQLite,
where one process serves, they are delivered in memory after the commit.

Changes of accounts are counted as well (`change_versions.py`), those of this process as soon as they commit.
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
from tiktok_accounts_gql.database_urls import to_asyncpg_arguments
from tiktok_accounts_gql.db.change_versions import ChangeVersions, NotifyChangeVersions
from tiktok_accounts_gql.db.unit_of_work import FlushStep, defer
from tiktok_accounts_gql.events import CLOCK_MARGIN, AccountChanged, ChangeKind, Event, Hub, JobChanged, hash_viewer

CHANNEL = "accounts_events"
CHANGES_CHANNEL = "account_changes"  # of the triggers
PROBE_CHANNEL = "accounts_proof"  # of the check that notifications arrive
PING_INTERVAL = timedelta(seconds=1)
TIMEOUT = timedelta(seconds=5)
MIN_RETRY_DELAY, MAX_RETRY_DELAY = timedelta(milliseconds=100), timedelta(seconds=5)

_EXPECTED_ERRORS = (OSError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError)

log = structlog.get_logger()


def ignore_error(error: Exception) -> None:
    del error


class Notifications:
    """Publishes events to all processes, and receives theirs."""

    def __init__(
        self,
        *,
        engine: AsyncEngine | None,
        hub: Hub,
        changes: NotifyChangeVersions,
        clock: Clock,
        on_error: Callable[[Exception], None] = ignore_error,
    ) -> None:
        """`engine` opens the connection that listens; None if there is one process. `on_error` is called when it is lost."""
        self._engine = engine
        self._hub = hub
        self._changes = changes
        self._clock = clock
        self._on_error = on_error
        self._received_until = clock()

    @classmethod
    def open(
        cls,
        url: str,
        *,
        hub: Hub,
        changes: ChangeVersions,
        clock: Clock,
        on_error: Callable[[Exception], None] = ignore_error,
    ) -> Self:
        """Return the notifications of a database (`Settings.database_url`)."""
        if not isinstance(changes, NotifyChangeVersions):
            return cls(engine=None, hub=hub, changes=NotifyChangeVersions(), clock=clock, on_error=on_error)
        address, arguments = to_asyncpg_arguments(url)
        arguments |= {"timeout": TIMEOUT.total_seconds(), "server_settings": {"application_name": CHANNEL}}
        engine = create_async_engine(address, poolclass=NullPool, connect_args=arguments)
        return cls(engine=engine, hub=hub, changes=changes, clock=clock, on_error=on_error)

    @property
    def has_listener(self) -> bool:
        """Whether other processes may send events."""
        return self._engine is not None

    def publish(self, session: AsyncSession, viewer_id: str, event: Event) -> None:
        """Send the event to all subscribers when the session's transaction commits; equal events are sent once."""
        defer(session, FlushStep.EVENTS, self._publish, [(hash_viewer(viewer_id), event)])

    async def _publish(self, session: AsyncSession, addressed: Sequence[tuple[str, Event]]) -> None:
        unique = dict.fromkeys(addressed)
        if self._engine is not None:
            messages = literal([_dump(address, event) for address, event in unique], ARRAY(Text))
            await session.execute(select(func.pg_notify(CHANNEL, func.unnest(messages).column_valued())))

        def deliver(_: object) -> None:
            for address, event in unique:
                if self._engine is None:
                    self._hub.publish(address, event)
                else:  # the notification returns to this process too, but maybe after the response to the change
                    self._changes.count_change(address)

        hooks.listen(session.sync_session, "after_commit", deliver, once=True)

    async def listen(self) -> None:
        """Listen until cancelled. Subscribers are told to read again after a time without a connection.

        A lost connection is replaced, whatever the error was: a process that does not listen shows outdated lists.
        """
        delay = MIN_RETRY_DELAY
        while self._engine is not None:
            started_at = asyncio.get_running_loop().time()
            try:
                await self._listen_once(self._engine)
            except Exception as error:  # noqa: BLE001 - see above
                self._report(error)
            duration = asyncio.get_running_loop().time() - started_at
            delay = MIN_RETRY_DELAY if duration > MAX_RETRY_DELAY.total_seconds() else min(delay * 2, MAX_RETRY_DELAY)
            await asyncio.sleep(delay.total_seconds() * random.uniform(0.5, 1))  # noqa: S311 - no secret

    def _report(self, error: Exception) -> None:
        is_expected = isinstance(error, _EXPECTED_ERRORS)
        log.log(
            logging.WARNING if is_expected else logging.ERROR,
            "event listener failed",
            reason=type(error).__name__,
            exc_info=None if is_expected else error,
        )
        self._on_error(error)

    async def _listen_once(self, engine: AsyncEngine) -> None:
        async with asyncio.timeout(TIMEOUT.total_seconds()):
            connection = await _connect(engine)
        is_lost = asyncio.Event()

        def mark_lost(_: object) -> None:
            self._changes.mark_stale()  # at once, before any request is read
            is_lost.set()

        try:
            connection.add_termination_listener(mark_lost)
            async with asyncio.timeout(TIMEOUT.total_seconds()):  # the driver's LISTEN has no timeout
                await connection.add_listener(CHANNEL, self._receive_event)
                await connection.add_listener(CHANGES_CHANNEL, self._receive_change)
            self._hub.publish_resync(
                self._received_until - CLOCK_MARGIN
            )  # only now, so that no event is missed in between
            await _check_notifications(engine, connection)
            self._changes.reset()
            while not is_lost.is_set():
                sent_at, monotonic = self._clock(), time.monotonic()
                await connection.execute("SELECT 1", timeout=TIMEOUT.total_seconds())
                self._received_until = sent_at
                if not is_lost.is_set():
                    self._changes.mark_fresh(monotonic)
                with suppress(TimeoutError):
                    async with asyncio.timeout(PING_INTERVAL.total_seconds()):
                        await is_lost.wait()
        finally:
            self._changes.mark_stale()
            connection.terminate()

    def _receive_event(self, connection: object, pid: int, channel: str, payload: str) -> None:
        del connection, pid, channel
        try:
            values = orjson.loads(payload)
            if "job" in values:
                event: Event = JobChanged(job_id=UUID(values["job"]))
            else:
                event = AccountChanged(account_id=UUID(values["account"]), kind=ChangeKind(values["kind"]))
            self._hub.publish(values["to"], event)
        except Exception:  # noqa: BLE001 - another version of this server, or another application, sent it
            log.warning("unknown event")

    def _receive_change(self, connection: object, pid: int, channel: str, payload: str) -> None:
        del connection, pid, channel
        self._changes.count_change(payload)


async def _connect(engine: AsyncEngine) -> Any:
    """Return a new connection of the driver's, detached from any pool."""
    fairy = await engine.raw_connection()
    connection = fairy.driver_connection
    fairy.detach()
    return connection


async def _check_notifications(engine: AsyncEngine, connection: Any) -> None:
    """Check that a notification arrives: a pooler may accept LISTEN and discard what is sent. Raises TimeoutError."""
    is_received, token = asyncio.Event(), uuid4().hex

    def receive(connection: object, pid: int, channel: str, payload: str) -> None:
        del connection, pid, channel
        if payload == token:
            is_received.set()

    await connection.add_listener(PROBE_CHANNEL, receive)
    sender = await _connect(engine)
    try:
        await sender.execute("SELECT pg_notify($1, $2)", PROBE_CHANNEL, token, timeout=TIMEOUT.total_seconds())
        async with asyncio.timeout(TIMEOUT.total_seconds()):
            await is_received.wait()
    finally:
        sender.terminate()
    await connection.remove_listener(PROBE_CHANNEL, receive)


def _dump(address: str, event: Event) -> str:
    if isinstance(event, JobChanged):
        return orjson.dumps({"to": address, "job": str(event.job_id)}).decode()
    return orjson.dumps({"to": address, "account": str(event.account_id), "kind": event.kind}).decode()
