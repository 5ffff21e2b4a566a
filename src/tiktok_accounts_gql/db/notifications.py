"""Events between processes: published in the transaction of the change, and heard once it commits.

On PostgreSQL by NOTIFY, which fires with the commit or not at all; a connection of its own listens. On SQLite, where one
process serves, by memory after the commit.
"""

import asyncio
import random
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

import asyncpg
import orjson
import structlog
from sqlalchemy import event as hooks
from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.events import MARGIN, AccountChanged, ChangeKind, Event, Hub, JobChanged, address_of

CHANNEL = "accounts_events"
PING_EVERY = timedelta(seconds=10)
TIMEOUT = timedelta(seconds=5)
FIRST_RETRY, LONGEST_RETRY = timedelta(milliseconds=100), timedelta(seconds=5)

log = structlog.get_logger()


class Notifications:
    """Publishes events to all processes, and hears theirs."""

    def __init__(self, *, engine: AsyncEngine | None, hub: Hub, clock: Clock) -> None:
        """`engine`: for the connection that listens; None if there is one process."""
        self._engine = engine
        self._hub = hub
        self._clock = clock
        self._heard_until = clock()

    @classmethod
    def open(cls, url: str, *, hub: Hub, clock: Clock) -> Self:
        """`url` as `Settings.database_url` has it."""
        if make_url(url).get_backend_name() == "sqlite":
            return cls(engine=None, hub=hub, clock=clock)
        arguments = {"timeout": TIMEOUT.total_seconds(), "server_settings": {"application_name": CHANNEL}}
        return cls(engine=create_async_engine(url, poolclass=NullPool, connect_args=arguments), hub=hub, clock=clock)

    async def publish(self, session: AsyncSession, viewer_id: str, event: Event) -> None:
        """Tells whoever watches, if and when the session's transaction commits."""
        address = address_of(viewer_id)
        if self._engine is not None:
            await session.execute(select(func.pg_notify(CHANNEL, _written(address, event))))
            return
        hooks.listen(session.sync_session, "after_commit", lambda _: self._hub.deliver(address, event), once=True)

    async def listen(self) -> None:
        """Until cancelled. After a time without a connection, everybody is told to read again."""
        delay = FIRST_RETRY
        while self._engine is not None:
            began = asyncio.get_running_loop().time()
            try:
                await self._hear(self._engine)
            except (OSError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("events are not heard", reason=type(error).__name__)
            lasted = asyncio.get_running_loop().time() - began
            delay = FIRST_RETRY if lasted > LONGEST_RETRY.total_seconds() else min(delay * 2, LONGEST_RETRY)
            await asyncio.sleep(delay.total_seconds() * random.uniform(0.5, 1))  # noqa: S311 - no secret

    async def _hear(self, engine: AsyncEngine) -> None:
        connection = await _connected(engine)
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._heard)
            self._hub.deliver_missed(self._heard_until - MARGIN)  # only now: nothing falls in between
            while not lost.is_set():
                asked = self._clock()
                await connection.execute("SELECT 1", timeout=TIMEOUT.total_seconds())
                self._heard_until = asked
                await _happens(lost, within=PING_EVERY)
        finally:
            connection.terminate()

    def _heard(self, connection: object, pid: int, channel: str, payload: str) -> None:
        del connection, pid, channel
        try:
            address, event = _read(payload)
        except (orjson.JSONDecodeError, ValueError, KeyError, TypeError):
            log.warning("unknown event")  # of another version, or of somebody else
            return
        self._hub.deliver(address, event)


async def _connected(engine: AsyncEngine) -> Any:
    """The driver's own connection, in nobody's pool."""
    fairy = await engine.raw_connection()
    connection = fairy.driver_connection
    fairy.detach()
    return connection


async def _happens(event: asyncio.Event, *, within: timedelta) -> None:
    try:
        await asyncio.wait_for(event.wait(), within.total_seconds())
    except TimeoutError:
        return


def _written(address: str, event: Event) -> str:
    if isinstance(event, JobChanged):
        return orjson.dumps({"to": address, "job": str(event.job_id)}).decode()
    return orjson.dumps({"to": address, "account": str(event.account_id), "kind": event.kind}).decode()


def _read(payload: str) -> tuple[str, Event]:
    values = orjson.loads(payload)
    if "job" in values:
        return values["to"], JobChanged(job_id=UUID(values["job"]))
    return values["to"], AccountChanged(account_id=UUID(values["account"]), kind=ChangeKind(values["kind"]))
