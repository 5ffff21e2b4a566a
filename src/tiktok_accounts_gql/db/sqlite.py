"""Connections to SQLite, all configured alike.

A writer waits for other processes' transactions by polling at every millisecond. SQLite's own waiting (`busy_timeout`)
polls at up to 0.1 s, and all writers of this process would wait behind it.
"""

import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tiktok_accounts_gql.db.sqlite_thread import SqliteThreadConnection

SQLITE_READERS = 4
_POLL_INTERVAL = "busy_timeout=1"  # milliseconds


def dump_json(value: Any) -> str:
    return orjson.dumps(value).decode()


def open_sqlite(url: str, *, read_only: bool, busy_timeout: float) -> AsyncEngine:
    """Return an engine of one writer or of several readers. `busy_timeout` is in seconds."""
    engine = create_async_engine(
        url,
        pool_size=SQLITE_READERS if read_only else 1,
        max_overflow=0,
        pool_timeout=busy_timeout,
        pool_reset_on_return=None,  # a transaction is always ended, and one more hop would hold up other writers
        hide_parameters=True,
        json_serializer=dump_json,
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": busy_timeout,
            "isolation_level": None,  # the driver begins no transaction by itself
            "async_creator_fn": partial(SqliteThreadConnection.open, read_only=read_only),
        },
    )
    event.listen(engine.sync_engine, "connect", configure_reader if read_only else configure_writer)
    if not read_only:
        event.listen(engine.sync_engine, "begin", partial(begin_immediate, busy_timeout))
    return engine


def connect_sqlite(engine: AsyncEngine, busy_timeout: float, *, read_only: bool) -> sqlite3.Connection:
    """Open a connection as the engine does, for use in a thread of the raw pool; another thread may close it."""
    [name], options = engine.dialect.create_connect_args(engine.url)
    options = {**options, "timeout": busy_timeout, "check_same_thread": False, "isolation_level": None}
    connection: sqlite3.Connection = sqlite3.connect(name, **options)
    (configure_reader if read_only else configure_writer)(connection, None)
    return connection


def configure_reader(connection: Any, record: object) -> None:
    del record
    _set_pragmas(connection, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")


def configure_writer(connection: Any, record: object) -> None:
    configure_reader(connection, record)
    # Only now: switching a new file to WAL needs the full timeout while another process does the same.
    _set_pragmas(connection, _POLL_INTERVAL)


def _set_pragmas(connection: Any, *pragmas: str) -> None:
    cursor = connection.cursor()
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def begin_immediate(timeout: float, connection: Connection) -> None:
    """Begin a writer's transaction on an engine's connection. Raises OperationalError after `timeout` seconds."""
    retry_while_busy(partial(connection.exec_driver_sql, "BEGIN IMMEDIATE"), timeout)


def begin_immediate_on_driver(timeout: float, connection: sqlite3.Connection) -> None:
    """Begin a writer's transaction on a connection of the raw pool. Raises sqlite3's OperationalError as above."""
    retry_while_busy(partial(connection.execute, "BEGIN IMMEDIATE"), timeout)


def retry_while_busy(begin: Callable[[], object], timeout: float) -> None:
    """Call `begin` until SQLite is not busy, each call waiting for a poll interval; at least once after the deadline."""
    deadline = time.monotonic() + timeout
    while True:
        is_last = time.monotonic() > deadline
        try:
            begin()
        except (OperationalError, sqlite3.OperationalError) as error:
            cause = error.orig if isinstance(error, OperationalError) else error
            if is_last or getattr(cause, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                raise
        else:
            return
