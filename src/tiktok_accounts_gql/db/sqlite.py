"""Connections to SQLite: set up alike, and waiting for other processes' transactions in small steps.

SQLite's own waiting (`busy_timeout`) looks again after up to 0.1 s, and all writers of this process would stand behind.
"""

import sqlite3
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tiktok_accounts_gql.db.threaded import ThreadedConnection

SQLITE_READERS = 4
_STEP = "busy_timeout=1"  # milliseconds


def json_text(value: Any) -> str:
    return orjson.dumps(value).decode()


def open_sqlite(url: str, *, writes: bool, busy_timeout: float) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=1 if writes else SQLITE_READERS,
        max_overflow=0,
        pool_timeout=busy_timeout,
        pool_reset_on_return=None,  # a transaction is always ended, and one more hop would hold up other writers
        hide_parameters=True,
        json_serializer=json_text,
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": busy_timeout,
            "isolation_level": None,  # the driver begins nothing by itself
            "async_creator_fn": partial(ThreadedConnection.open, reads=not writes),
        },
    )
    event.listen(engine.sync_engine, "connect", prepare_writer if writes else prepare_reader)
    if writes:
        event.listen(engine.sync_engine, "begin", partial(begin_immediate, busy_timeout))
    return engine


def connect_sqlite(engine: AsyncEngine, busy_timeout: float, *, writes: bool) -> sqlite3.Connection:
    """As the engine connects, for a thread of our own; closed by another one."""
    [name], options = engine.dialect.create_connect_args(engine.url)
    given: dict[str, Any] = {**options, "timeout": busy_timeout, "check_same_thread": False, "isolation_level": None}
    connection: sqlite3.Connection = sqlite3.connect(name, **given)
    (prepare_writer if writes else prepare_reader)(connection, None)
    return connection


def prepare_reader(connection: Any, record: object) -> None:
    del record
    _set(connection, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")


def prepare_writer(connection: Any, record: object) -> None:
    prepare_reader(connection, record)
    _set(connection, _STEP)  # only now: a file that another process turns into one with WAL is waited for


def _set(connection: Any, *pragmas: str) -> None:
    cursor = connection.cursor()
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def begin_immediate(patience: float, connection: Connection) -> None:
    for is_last in attempts(patience):
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as error:
            if is_last or not is_busy(error.orig):
                raise
        else:
            return


def begin_in_thread(patience: float, connection: sqlite3.Connection) -> None:
    """As `begin_immediate`, in a thread of its own."""
    for is_last in attempts(patience):
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if is_last or not is_busy(error):
                raise
        else:
            return


def attempts(patience: float) -> Iterator[bool]:
    """Whether the time is over, for each attempt."""
    deadline = time.monotonic() + patience
    while True:
        yield time.monotonic() > deadline


def is_busy(error: BaseException | None) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
