"""Connections and transactions, with one interface for SQLite and PostgreSQL.

SQLite has two engines: one of readers in autocommit, and one writer, whose transactions begin with BEGIN IMMEDIATE, so
that they wait for another process when they begin (`busy_timeout`) and never fail in the middle.

The most frequent statements bypass the engines: `fetch` and `insert` execute compiled statements on a raw pool.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Self

import orjson
from sqlalchemy import Insert, Select, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from tiktok_accounts_gql.database_urls import to_asyncpg_arguments
from tiktok_accounts_gql.db.cancellation import finish_despite_cancellation
from tiktok_accounts_gql.db.compiled_statement import CompiledStatement, Row
from tiktok_accounts_gql.db.errors import translate_database_errors
from tiktok_accounts_gql.db.raw_pool import PostgresRawPool, RawPool, SqliteRawPool
from tiktok_accounts_gql.db.sqlite import SQLITE_READERS, connect_sqlite, dump_json, open_sqlite
from tiktok_accounts_gql.db.unit_of_work import begin_unit_of_work, flush_unit_of_work
from tiktok_accounts_gql.db.writer_lock import WriterLock
from tiktok_accounts_gql.errors import ServiceUnavailable

Session = AsyncSession

_BUSY_TIMEOUT_SECONDS = 10
_STATEMENT_TIMEOUT_SECONDS = 30
_MAX_COMPILED = 500
_CHUNK_SIZE = 1000  # rows


class Database:
    """Opens a session per unit of work: `read()` outside of any transaction, `transaction()` for all or nothing."""

    def __init__(
        self, *, readers: AsyncEngine, writers: AsyncEngine, raw_pool: RawPool, writer_lock: WriterLock | None
    ) -> None:
        """`writer_lock` is None on PostgreSQL, which has many writers."""
        self._readers = readers
        self._writers = writers
        self._raw_pool = raw_pool
        self._writer_lock = writer_lock
        self._compiled: dict[Hashable, CompiledStatement] = {}

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10, busy_timeout: float = _BUSY_TIMEOUT_SECONDS) -> Self:
        """Return a database that connects when it is first used. `url` is as in `Settings.database_url`.

        `busy_timeout`, in seconds, limits the wait for a connection, for a pool and for SQLite's writers.
        """
        if make_url(url).get_backend_name() == "sqlite":
            readers = open_sqlite(url, read_only=True, busy_timeout=busy_timeout)
            writers = open_sqlite(url, read_only=False, busy_timeout=busy_timeout)
            writer_lock, connect = WriterLock(timeout=busy_timeout), partial(connect_sqlite, readers)
            sqlite_pool = SqliteRawPool(connect, readers=SQLITE_READERS, writer_lock=writer_lock, timeout=busy_timeout)
            return cls(readers=readers, writers=writers, raw_pool=sqlite_pool, writer_lock=writer_lock)
        raw_pool_size = max(1, pool_size // 2)
        address, arguments = to_asyncpg_arguments(url)
        engine = create_async_engine(
            address,
            pool_size=max(1, pool_size - raw_pool_size),
            max_overflow=0,
            pool_timeout=busy_timeout,
            hide_parameters=True,  # of a failed statement: they may hold what no log should
            json_serializer=dump_json,
            json_deserializer=orjson.loads,
            connect_args={**arguments, "command_timeout": _STATEMENT_TIMEOUT_SECONDS, "timeout": busy_timeout},
        )
        readers = engine.execution_options(isolation_level="AUTOCOMMIT")
        postgres_pool = PostgresRawPool(engine, size=raw_pool_size, timeout=busy_timeout)
        return cls(readers=readers, writers=engine, raw_pool=postgres_pool, writer_lock=None)

    @property
    def engines(self) -> tuple[AsyncEngine, AsyncEngine]:
        """Return the engine for reads and the one for transactions."""
        return self._readers, self._writers

    async def close(self) -> None:
        await self._raw_pool.close()
        for engine in self.engines:
            await engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """Open a session in autocommit. Raises ServiceUnavailable if the database does not answer."""
        with translate_database_errors():
            async with AsyncSession(self._readers, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """Open a session that commits at the end, and rolls back on any exception.

        Raises ServiceUnavailable as `read` does, and Deadlocked.
        """
        with translate_database_errors():
            holding = self._writer_lock.hold() if self._writer_lock else nullcontext()
            async with holding, AsyncSession(self._writers, expire_on_commit=False) as session:
                begin_unit_of_work(session)
                async with session.begin():
                    yield session
                    await finish_despite_cancellation(_flush_and_commit(session))

    def compile(
        self, key: Hashable, build: Callable[[], Select[Any] | Insert], row_type: type[Row] = Row
    ) -> CompiledStatement:
        """Return the compiled statement of this key, which names its shape; `build` it if it is not cached.

        A full cache drops the oldest statement.
        """
        compiled = self._compiled.get(key)
        if compiled is None:
            if len(self._compiled) >= _MAX_COMPILED:
                del self._compiled[next(iter(self._compiled))]
            compiled = self._compiled[key] = CompiledStatement(build(), self._readers.dialect, row_type)
        return compiled

    async def fetch(self, statement: CompiledStatement, values: Mapping[str, Any]) -> list[Any]:
        """Execute a statement outside of any transaction and return its rows. Raises ServiceUnavailable as `read` does."""
        parameters = statement.parameters(values)
        with translate_database_errors():
            records = await self._raw_pool.fetch(statement.text, parameters)
        return statement.rows(records)

    async def fetch_in_chunks(self, statement: CompiledStatement, values: Mapping[str, Any]) -> list[Any]:
        """Fetch thousands of rows as `fetch` does, and let other tasks run between converting chunks of them."""
        parameters = statement.parameters(values)
        with translate_database_errors():
            records = await self._raw_pool.fetch(statement.text, parameters)
        rows: list[Any] = []
        for start in range(0, len(records), _CHUNK_SIZE):
            if start:
                await asyncio.sleep(0)
            rows += statement.rows(records[start : start + _CHUNK_SIZE])
        return rows

    async def insert(self, statement: CompiledStatement, get_rows: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Insert all rows or none in a transaction of their own. `get_rows` is called when that can begin.

        Raises ServiceUnavailable as `read` does.
        """
        with translate_database_errors():
            await self._raw_pool.insert(statement.text, lambda: [statement.parameters(row) for row in get_rows()])

    async def check_prepared_statements(self) -> None:
        """Check that a connection keeps its prepared statements. Raises errors.PreparedStatementsLost behind some poolers."""
        if self._writer_lock is not None:
            return
        async with self.read() as reader:
            await reader.execute(text("SELECT 1"))
            async with self.transaction() as writer:  # a pooler gives it the connection that was just used
                await writer.execute(text("SELECT 2"))
                await reader.execute(text("SELECT 1"))

    async def ping(self) -> None:
        """Make one round trip. Raises ServiceUnavailable."""
        async with self.read() as session:
            await session.execute(text("SELECT 1"))


async def _flush_and_commit(session: AsyncSession) -> None:
    await flush_unit_of_work(session)
    await session.commit()


def check_sqlite_folder(url: str) -> None:
    """Raise ServiceUnavailable if the folder of a SQLite file does not exist.

    For commands, which end at once: SQLite's driver would leave a thread behind.
    """
    file = make_url(url).database or ""
    if make_url(url).get_backend_name() == "sqlite" and not file.startswith("file:") and not Path(file).parent.is_dir():
        raise ServiceUnavailable(f"The database does not answer. There is no folder {Path(file).parent}.")
