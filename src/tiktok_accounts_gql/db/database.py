"""Connections and transactions, alike for SQLite and PostgreSQL.

SQLite has two engines: one of readers in autocommit, and one writer, whose transactions begin with BEGIN IMMEDIATE, so
that they wait for another process at their beginning (`busy_timeout`) and never fail in their middle.

What happens most goes around the engines: `fetch` and `append` run statements that were compiled once, on connections of
their own.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Self

import asyncpg
import orjson
from sqlalchemy import Insert, Select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from tiktok_accounts_gql.database_urls import for_asyncpg
from tiktok_accounts_gql.db.closing import begin_ends, write_ends
from tiktok_accounts_gql.db.direct import Direct, DirectPostgres, DirectSqlite
from tiktok_accounts_gql.db.prepared import Prepared, Row
from tiktok_accounts_gql.db.sqlite import SQLITE_READERS, connect_sqlite, json_text, open_sqlite
from tiktok_accounts_gql.db.turn import Turn
from tiktok_accounts_gql.db.uninterrupted import to_its_end
from tiktok_accounts_gql.errors import ServiceUnavailable

Session = AsyncSession

_BUSY_TIMEOUT_SECONDS = 10
_STATEMENT_TIMEOUT_SECONDS = 30
_MAX_PREPARED = 500
_PORTION = 1000  # rows

# The SQLSTATEs of a PostgreSQL that is away, busy or full: connection, read-only standby, login, no such database,
# deadlock, resources, lock, shutdown. Its driver names no OperationalError.
_UNDONE = ("40P01", "40001")  # deadlock, serialization failure
_POSTGRESQL_AWAY = ("08", "25006", "28", "3D", "40", "53", "55P03", "57")
_DRIVER_AWAY = ("connection is closed", "another operation is in progress")
# A prepared statement is there already, or not any more. PgBouncer also refuses transactions, by words.
_POOLER_STATES = ("42P05", "26000")
_STATEMENT_POOLING = "not allowed in statement pooling mode"


class Deadlocked(ServiceUnavailable):
    """PostgreSQL has undone the whole transaction, so that another one can go on."""


class PreparedStatementsLost(ServiceUnavailable):
    """A pooler gives each transaction another connection: prepared statements are gone, or there already.

    Its text is for operators; clients of the API get the message of every database that is away.
    """

    found = (
        "A pooler in front of PostgreSQL loses prepared statements, as PgBouncer before 1.21 does but in session mode."
    )
    mend = "Let ACCOUNTS_DATABASE_URL name PostgreSQL itself, or set the pooler's pool_mode to session."

    def __str__(self) -> str:
        return f"{self.found} {self.mend}"


class Database:
    """A session per unit of work: `read()` outside of any transaction, `transaction()` all or nothing."""

    def __init__(self, *, readers: AsyncEngine, writers: AsyncEngine, direct: Direct, turn: Turn | None) -> None:
        self._readers = readers
        self._writers = writers
        self._direct = direct
        self._turn = turn
        self._prepared: dict[Hashable, Prepared] = {}

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10, busy_timeout: float = _BUSY_TIMEOUT_SECONDS) -> Self:
        """`url` as `Settings.database_url` has it. Connects when first used."""
        if make_url(url).get_backend_name() == "sqlite":
            readers, writers = (open_sqlite(url, writes=writes, busy_timeout=busy_timeout) for writes in (False, True))
            turn, connect = Turn(patience=busy_timeout), partial(connect_sqlite, readers)
            direct = DirectSqlite(connect, readers=SQLITE_READERS, turn=turn, patience=busy_timeout)
            return cls(readers=readers, writers=writers, direct=direct, turn=turn)
        own = max(1, pool_size // 2)
        address, arguments = for_asyncpg(url)
        engine = create_async_engine(
            address,
            pool_size=max(1, pool_size - own),
            max_overflow=0,
            pool_timeout=busy_timeout,
            hide_parameters=True,  # of a failed statement: they may hold what no log should
            json_serializer=json_text,
            json_deserializer=orjson.loads,
            connect_args={**arguments, "command_timeout": _STATEMENT_TIMEOUT_SECONDS, "timeout": busy_timeout},
        )
        readers = engine.execution_options(isolation_level="AUTOCOMMIT")
        return cls(
            readers=readers, writers=engine, direct=DirectPostgres(engine, size=own, patience=busy_timeout), turn=None
        )

    @property
    def engines(self) -> tuple[AsyncEngine, AsyncEngine]:
        return self._readers, self._writers

    async def close(self) -> None:
        await self._direct.close()
        for engine in self.engines:
            await engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """Raises ServiceUnavailable if the database does not answer."""
        with _unavailable_is_said():
            async with AsyncSession(self._readers, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """Commits at the end, rolls back on any exception. Raises ServiceUnavailable as `read` does."""
        with _unavailable_is_said():
            async with self._taken(), AsyncSession(self._writers, expire_on_commit=False) as session:
                begin_ends(session)
                async with session.begin():
                    yield session
                    await to_its_end(_commit(session))

    def _taken(self) -> AbstractAsyncContextManager[None]:
        return self._turn.taken() if self._turn else nullcontext()

    def prepare(self, key: Hashable, build: Callable[[], Select[Any] | Insert], row: type[Row] = Row) -> Prepared:
        """The statement of this key, which names its shape; built if it is not known. The oldest ones are forgotten."""
        prepared = self._prepared.get(key)
        if prepared is None:
            if len(self._prepared) >= _MAX_PREPARED:
                del self._prepared[next(iter(self._prepared))]
            prepared = self._prepared[key] = Prepared(build(), self._readers.dialect, row)
        return prepared

    async def fetch(self, prepared: Prepared, values: Mapping[str, Any]) -> list[Any]:
        """Its rows, outside of any transaction. Raises ServiceUnavailable as `read` does."""
        parameters = prepared.parameters(values)
        with _unavailable_is_said():
            records = await self._direct.fetch(prepared.text, parameters)
        return prepared.rows(records)

    async def fetch_many(self, prepared: Prepared, values: Mapping[str, Any]) -> list[Any]:
        """As `fetch`, for thousands of rows: they are made in portions between which others run."""
        parameters = prepared.parameters(values)
        with _unavailable_is_said():
            records = await self._direct.fetch(prepared.text, parameters)
        rows: list[Any] = []
        for start in range(0, len(records), _PORTION):
            if start:
                await asyncio.sleep(0)
            rows += prepared.rows(records[start : start + _PORTION])
        return rows

    async def append(self, prepared: Prepared, gather: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Inserts all rows or none, in a transaction of their own; they are asked for when it can begin.

        Raises ServiceUnavailable as `read` does.
        """
        with _unavailable_is_said():
            await self._direct.append(prepared.text, lambda: [prepared.parameters(row) for row in gather()])

    async def check_sessions(self) -> None:
        """That a connection keeps what it prepared, as SQLite's do. Raises PreparedStatementsLost."""
        if self._turn is not None:
            return
        async with self.read() as reading:
            await reading.execute(text("SELECT 1"))
            async with self.transaction() as writing:  # a pooler gives it the connection that was just used
                await writing.execute(text("SELECT 2"))
                await reading.execute(text("SELECT 1"))

    async def ping(self) -> None:
        """One round trip. Raises ServiceUnavailable."""
        async with self.read() as session:
            await session.execute(text("SELECT 1"))


async def _commit(session: AsyncSession) -> None:
    await write_ends(session)
    await session.commit()


class _unavailable_is_said:  # noqa: N801 - reads as a sentence where it is used
    """A database that is away, busy or full becomes ServiceUnavailable; a mistake in a statement stays one."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and _is_lost_by_a_pooler(error):
            raise PreparedStatementsLost from error
        if error is not None and _is_away(error):
            raise (Deadlocked if _is_undone(error) else ServiceUnavailable) from error


def _is_away(error: BaseException) -> bool:
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if isinstance(error, InterfaceError) and error.orig else error.orig
        is_away = _driver_is_away(cause, operational=isinstance(error, OperationalError))
        return error.connection_invalidated or is_away
    if isinstance(error, (PoolTimeout, OSError)):  # of the socket: a refusal, an unknown host, silence
        return True
    return _driver_is_away(error, operational=isinstance(error, sqlite3.OperationalError))


def _is_lost_by_a_pooler(error: Exception) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None) in _POOLER_STATES or _STATEMENT_POOLING in str(cause)


def _is_undone(error: BaseException) -> bool:
    return getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None) in _UNDONE


def _driver_is_away(error: BaseException | None, *, operational: bool) -> bool:
    if operational:
        return getattr(error, "sqlite_errorname", None) != "SQLITE_ERROR"  # which is a mistake in a statement
    state = getattr(error, "sqlstate", None) or ""
    # A connection that breaks between a driver's steps may leave it where the next one cannot begin: InternalClientError.
    # What else it calls InterfaceError is a mistake: too many parameters, or one of another type.
    if isinstance(error, asyncpg.InterfaceError):
        return any(words in str(error) for words in _DRIVER_AWAY)
    return isinstance(error, asyncpg.InternalClientError) or state.startswith(_POSTGRESQL_AWAY)


def check_folder(url: str) -> None:
    """For commands, which end at once: SQLite's driver would leave a thread behind. Raises ServiceUnavailable."""
    file = make_url(url).database or ""
    if make_url(url).get_backend_name() == "sqlite" and not file.startswith("file:") and not Path(file).parent.is_dir():
        raise ServiceUnavailable(f"The database does not answer. There is no folder {Path(file).parent}.")
