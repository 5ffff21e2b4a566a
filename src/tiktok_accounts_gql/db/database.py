"""Connections and transactions, alike for SQLite and PostgreSQL.

SQLite has two engines: one of readers in autocommit, and one writer, whose transactions begin with BEGIN IMMEDIATE, so
that they wait for another process at their beginning (`busy_timeout`) and never fail in their middle.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from tiktok_accounts_gql.errors import ServiceUnavailable

Session = AsyncSession

_BUSY_TIMEOUT_SECONDS = 10
_STATEMENT_TIMEOUT_SECONDS = 30
_SQLITE_READERS = 4

# The SQLSTATEs of a PostgreSQL that is away, busy or full: connection, read-only standby, login, no such database,
# deadlock, resources, lock, shutdown. Its driver names no OperationalError.
_POSTGRESQL_AWAY = ("08", "25006", "28", "3D", "40", "53", "55P03", "57")


class Database:
    """A session per unit of work: `read()` outside of any transaction, `transaction()` all or nothing."""

    def __init__(self, *, readers: AsyncEngine, writers: AsyncEngine) -> None:
        self._readers = readers
        self._writers = writers

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10, busy_timeout: float = _BUSY_TIMEOUT_SECONDS) -> Self:
        """`url` as `Settings.database_url` has it. Connects when first used."""
        if make_url(url).get_backend_name() == "sqlite":
            readers, writers = (_sqlite(url, writes=writes, busy_timeout=busy_timeout) for writes in (False, True))
            return cls(readers=readers, writers=writers)
        engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=busy_timeout,
            hide_parameters=True,  # of a failed statement: they may hold what no log should
            connect_args={"command_timeout": _STATEMENT_TIMEOUT_SECONDS, "timeout": busy_timeout},
        )
        return cls(readers=engine.execution_options(isolation_level="AUTOCOMMIT"), writers=engine)

    @property
    def engines(self) -> tuple[AsyncEngine, AsyncEngine]:
        return self._readers, self._writers

    async def close(self) -> None:
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
            async with AsyncSession(self._writers, expire_on_commit=False) as session, session.begin():
                yield session

    async def ping(self) -> None:
        """One round trip. Raises ServiceUnavailable."""
        async with self.read() as session:
            await session.execute(text("SELECT 1"))


class _unavailable_is_said:  # noqa: N801 - reads as a sentence where it is used
    """A database that is away, busy or full becomes ServiceUnavailable; a mistake in a statement stays one."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if _is_away(error):
            raise ServiceUnavailable from error


def _is_away(error: BaseException | None) -> bool:
    if not isinstance(error, DBAPIError):
        return isinstance(error, (PoolTimeout, OSError))  # of the socket: a refusal, an unknown host, silence
    if isinstance(error, OperationalError):
        return getattr(error.orig, "sqlite_errorname", None) != "SQLITE_ERROR"  # which is a mistake in a statement
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or isinstance(error, InterfaceError) or state.startswith(_POSTGRESQL_AWAY)


def check_folder(url: str) -> None:
    """For commands, which end at once: SQLite's driver would leave a thread behind. Raises ServiceUnavailable."""
    file = make_url(url).database or ""
    if make_url(url).get_backend_name() == "sqlite" and not file.startswith("file:") and not Path(file).parent.is_dir():
        raise ServiceUnavailable(f"The database does not answer. There is no folder {Path(file).parent}.")


def _sqlite(url: str, *, writes: bool, busy_timeout: float) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=1 if writes else _SQLITE_READERS,
        max_overflow=0,
        pool_timeout=busy_timeout,
        hide_parameters=True,
        connect_args={"timeout": busy_timeout},
        **({} if writes else {"isolation_level": "AUTOCOMMIT"}),
    )
    event.listen(engine.sync_engine, "connect", prepare_sqlite)
    if writes:
        event.listen(engine.sync_engine, "begin", begin_immediate)
    return engine


def prepare_sqlite(connection: Any, record: object) -> None:
    del record
    connection.isolation_level = None  # the driver begins nothing by itself
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
