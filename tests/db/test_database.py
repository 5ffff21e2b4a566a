"""Connections and transactions: waiting, an unavailable database, and rollbacks."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, StatementError
from sqlmodel import col

from tests.support.rows import NOON, account, store
from tests.support.statements import counted_statements
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import migrate
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.errors import ServiceUnavailable


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncGenerator[Database]:
    db = Database.open(url, **options)
    yield db
    await db.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.db"


@pytest.fixture
async def sqlite(path: Path) -> AsyncGenerator[Database]:
    async with opened(f"sqlite+aiosqlite:///{path}", busy_timeout=2) as db:
        await migrate(db)
        yield db


@contextmanager
def locked(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold the file's lock as another process would in a long transaction."""
    is_locked, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        is_locked.set()
        is_over.wait(seconds)
        connection.execute("COMMIT")
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    is_locked.wait()
    yield
    is_over.set()
    thread.join()


async def stored(db: Database, viewer: str) -> int:
    async with db.read() as session:
        counted = select(func.count()).select_from(Account).where(col(Account.viewer_id) == viewer)
        return (await session.execute(counted)).scalar_one()


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 2), ("secure_delete", 1)]
)
async def test_all_connections_to_sqlite_have_the_same_settings(sqlite: Database, pragma: str, value: object) -> None:
    for unit in (sqlite.read, sqlite.transaction):
        async with unit() as session:
            assert (await session.execute(text(f"PRAGMA {pragma}"))).scalar_one() == value


async def test_sqlite_overwrites_deleted_data(sqlite: Database, path: Path) -> None:
    secret = b"a name of thirty bytes and more, once"
    await store(sqlite, account("viewer", display_name=secret.decode()))
    async with sqlite.transaction() as session:
        await session.execute(text("DELETE FROM accounts"))
    await sqlite.close()
    assert secret not in path.read_bytes()  # noqa: ASYNC240


async def test_a_transaction_of_sqlite_takes_the_lock_at_its_beginning(sqlite: Database) -> None:
    with counted_statements() as statements:
        await store(sqlite, account("viewer"))
    assert statements[0] == "BEGIN IMMEDIATE"


async def test_a_read_of_sqlite_begins_no_transaction(sqlite: Database) -> None:
    with counted_statements() as statements:
        await stored(sqlite, "viewer")
    assert [statement.split()[0] for statement in statements] == ["SELECT"]


async def test_a_write_waits_for_another_process(sqlite: Database, path: Path) -> None:
    started_at = asyncio.get_running_loop().time()
    with locked(path, seconds=0.6):
        await store(sqlite, account("viewer"))
    assert asyncio.get_running_loop().time() - started_at >= 0.6
    assert await stored(sqlite, "viewer") == 1


async def test_a_read_does_not_wait_for_a_write_of_another_process(sqlite: Database, path: Path) -> None:
    await store(sqlite, account("viewer"))
    with locked(path, seconds=30):
        assert await stored(sqlite, "viewer") == 1


async def test_a_write_that_waited_too_long_is_refused_and_the_next_one_works(sqlite: Database, path: Path) -> None:
    async with opened(f"sqlite+aiosqlite:///{path}", busy_timeout=0.1) as short_wait:
        with locked(path, seconds=30), pytest.raises(ServiceUnavailable):
            await store(short_wait, account("viewer"))
        await store(short_wait, account("viewer"))
        assert await stored(short_wait, "viewer") == 1


async def test_a_full_disk_is_reported_and_no_data_is_lost(sqlite: Database) -> None:
    await store(sqlite, account("viewer"))
    async with sqlite.transaction() as session:
        pages = (await session.execute(text("PRAGMA page_count"))).scalar_one()
        await session.execute(text(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(ServiceUnavailable):
        await store(sqlite, *[account("viewer", number, bio_description="x" * 1000) for number in range(100)])
    assert await stored(sqlite, "viewer") == 1


async def test_a_file_that_can_only_be_read_is_read_and_refuses_writes(sqlite: Database, path: Path) -> None:
    await store(sqlite, account("viewer"))
    async with opened(f"sqlite+aiosqlite:///file:{path}?mode=ro&uri=true") as db:
        assert await stored(db, "viewer") == 1
        with pytest.raises(ServiceUnavailable):
            await store(db, account("viewer"))
    assert await stored(sqlite, "viewer") == 1


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+asyncpg://somebody:secret@127.0.0.1:1/accounts",
        "postgresql+asyncpg://somebody:secret@nowhere.invalid/accounts",
        "sqlite+aiosqlite:////nowhere/accounts.db",
    ],
    ids=["refuses", "has no address", "has no folder"],
)
async def test_a_missing_database_is_unavailable(url: str) -> None:
    async with opened(url) as db:
        for attempt in (db.ping(), migrate(db)):
            with pytest.raises(ServiceUnavailable):
                await attempt


async def test_a_server_without_the_database_is_unavailable(database_url: str, backend: str, tmp_path: Path) -> None:
    name = str(tmp_path / "no folder" / "accounts.db") if backend == "sqlite" else "nowhere"
    url = make_url(database_url).set(database=name).render_as_string(hide_password=False)
    async with opened(url) as db:
        with pytest.raises(ServiceUnavailable):
            await db.ping()


async def test_connections_that_the_server_closed_are_replaced(alone: Database, alone_url: str, backend: str) -> None:
    """SQLite has no server that could close one."""
    async with opened(alone_url) as db:
        await db.ping()
        if backend == "postgresql":
            async with alone.read() as session:
                other_backends = "FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
                await session.execute(text(f"SELECT pg_terminate_backend(pid) {other_backends}"))
            await asyncio.sleep(0.1)
            with pytest.raises(ServiceUnavailable):
                await db.ping()
        await db.ping()


async def test_waiting_too_long_for_a_connection_fails(database_url: str) -> None:
    async with opened(database_url, pool_size=1, busy_timeout=0.1) as db, db.transaction() as session:
        await session.execute(text("SELECT 1"))
        with pytest.raises(ServiceUnavailable):
            await store(db, account("viewer"))


async def test_an_error_in_a_statement_does_not_mean_that_the_database_is_unavailable(alone: Database) -> None:
    with pytest.raises(DBAPIError):
        async with alone.read() as session:
            await session.execute(text("SELECT nothing FROM nowhere"))
    await alone.ping()


async def test_a_transaction_that_raises_is_rolled_back(alone: Database, viewer: str) -> None:
    async def fail() -> None:
        async with alone.transaction() as session:
            session.add(account(viewer))
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await stored(alone, viewer) == 0


async def test_a_cancelled_transaction_is_rolled_back_and_releases_its_locks(alone: Database, viewer: str) -> None:
    async def never_end() -> None:
        async with alone.transaction() as session:
            session.add(account(viewer))
            await session.flush()
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(never_end(), timeout=0.2)
    await store(alone, account(viewer))
    assert await stored(alone, viewer) == 1


async def test_transactions_at_the_same_time_all_commit(alone: Database, viewer: str) -> None:
    await asyncio.gather(*[store(alone, account(viewer, number)) for number in range(25)])
    assert await stored(alone, viewer) == 25


async def test_a_time_without_a_zone_is_refused(alone: Database, viewer: str) -> None:
    with pytest.raises(StatementError, match="needs a time zone"):
        await store(alone, account(viewer, last_synced_at=datetime(2026, 11, 24)))  # noqa: DTZ001
    assert await stored(alone, viewer) == 0


async def test_times_come_back_in_utc_to_the_microsecond(alone: Database, viewer: str) -> None:
    time = NOON.replace(microsecond=1).astimezone(timezone(timedelta(hours=-7)))
    await store(alone, account(viewer, last_synced_at=time))
    async with alone.read() as session:
        read = (await session.scalars(select(Account).where(col(Account.viewer_id) == viewer))).one().last_synced_at
    assert read == time
    assert read is not None
    assert read.utcoffset() == datetime.now(UTC).utcoffset()


async def test_the_error_of_a_statement_does_not_contain_its_parameters(alone: Database, viewer: str) -> None:
    row = account(viewer, display_name="a secret")
    with pytest.raises(DBAPIError) as failed:
        await store(alone, row, row)
    assert "a secret" not in str(failed.value)


CANCELED_IN_THE_MIDDLE = """
import asyncio, sys
from contextlib import suppress
from sqlalchemy import text
from tiktok_accounts_gql.db.database import Database

LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"  # it never ends

async def read(db):
    async with db.read() as session:
        await session.execute(text(LONG))

async def main():
    db = Database.open(sys.argv[1], busy_timeout=2)
    reading = asyncio.create_task(read(db))
    await asyncio.sleep(0.3)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    async with db.read() as session:
        assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
    await db.close()

asyncio.run(main())
"""


def test_a_process_ends_after_a_running_read_was_cancelled(path: Path) -> None:
    command = [sys.executable, "-c", CANCELED_IN_THE_MIDDLE, f"sqlite+aiosqlite:///{path}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
