"""Compiled statements on the connections of a raw pool."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import insert, literal, select, text
from sqlmodel import col

from tests.support.rows import NOON, account, store
from tiktok_accounts_gql.db import account_queries
from tiktok_accounts_gql.db.account_queries import resolve_columns
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.db.database import _MAX_COMPILED, Database
from tiktok_accounts_gql.db.models import Account, Snapshot
from tiktok_accounts_gql.db.writer_lock import WriterLock
from tiktok_accounts_gql.errors import ServiceUnavailable

EVERYTHING = AccountFilter()


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncGenerator[Database]:
    other = Database.open(url, **options)
    yield other
    await other.close()


async def count(db: Database, viewer: str) -> int:
    return await account_queries.count(db, viewer, EVERYTHING)


@pytest.mark.parametrize(
    "url",
    ["postgresql+asyncpg://somebody:secret@127.0.0.1:1/accounts", "sqlite+aiosqlite:////nowhere/accounts.db"],
    ids=["refuses", "has no folder"],
)
async def test_a_missing_database_is_unavailable(url: str) -> None:
    db = Database.open(url)
    with pytest.raises(ServiceUnavailable):
        await count(db, "viewer")
    with pytest.raises(ServiceUnavailable):
        await db.insert(db.compile("snapshots", lambda: insert(Snapshot)), list)
    await db.close()


async def test_connections_that_the_server_closed_are_replaced(
    alone: Database, alone_url: str, backend: str, viewer: str
) -> None:
    """SQLite has no server that could close one."""
    async with opened(alone_url) as db:
        assert await count(db, viewer) == 0
        if backend == "postgresql":
            async with alone.read() as session:
                other_backends = "FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
                await session.execute(text(f"SELECT pg_terminate_backend(pid) {other_backends}"))
            await asyncio.sleep(0.1)
        assert await count(db, viewer) == 0


async def test_the_next_read_does_not_get_the_result_of_a_cancelled_one(
    alone: Database, alone_url: str, viewer: str
) -> None:
    await store(alone, account(viewer))
    async with opened(alone_url, pool_size=1) as db:
        assert await count(db, viewer) == 1
        for _ in range(20):
            reading = asyncio.create_task(count(db, "nobody"))
            await asyncio.sleep(0)
            reading.cancel()
            assert await count(db, viewer) == 1


async def test_many_reads_share_few_connections(alone: Database, alone_url: str, viewer: str) -> None:
    await store(alone, account(viewer))
    async with opened(alone_url, pool_size=2) as db:
        assert await asyncio.gather(*[count(db, viewer) for _ in range(50)]) == [1] * 50


async def test_rows_are_inserted_together_or_not_at_all(alone: Database, viewer: str) -> None:
    [row] = await store(alone, account(viewer))
    snapshot = Snapshot(viewer_id=viewer, account_id=row.id, recorded_at=NOON, hour=1, is_thinned=False).model_dump()
    statement = alone.compile("snapshots", lambda: insert(Snapshot))
    with pytest.raises(Exception, match=r"(?i)unique"):
        await alone.insert(statement, lambda: [snapshot, snapshot])
    of_viewer = select(Snapshot).where(col(Snapshot.viewer_id) == viewer)
    async with alone.read() as session:
        assert (await session.scalars(of_viewer)).all() == []
    await alone.insert(statement, lambda: [snapshot])
    async with alone.read() as session:
        assert [row.model_dump() for row in await session.scalars(of_viewer)] == [snapshot]


async def test_a_row_has_the_same_values_as_the_model(alone: Database, viewer: str) -> None:
    values: dict[str, Any] = {"is_verified": True, "granted_scopes": ["a", "b"], "last_synced_at": NOON}
    [stored] = await store(alone, account(viewer, username="ann", follower_count=2**40, **values))
    [row] = await account_queries.list_by_ids(alone, viewer, [stored.id])
    for name in row._fields:
        assert getattr(row, name) == getattr(stored, name), name
        assert type(getattr(row, name)) is type(getattr(stored, name)) or name == "id"
    assert set(row._fields) == {*Account.model_fields} - {"search_text", "next_sync_at"}


async def test_only_requested_columns_are_read_and_all_for_another_attribute(alone: Database, viewer: str) -> None:
    [stored] = await store(alone, account(viewer))
    [row] = await account_queries.list_by_ids(alone, viewer, [stored.id], frozenset({"username"}))
    assert row._fields == ("id", "username")
    assert resolve_columns(frozenset({"username", "a property"})) == resolve_columns(None)


async def test_the_number_of_cached_statements_is_limited(alone_url: str) -> None:
    async with opened(alone_url) as db:
        for number in range(_MAX_COMPILED + 5):
            db.compile(number, lambda: select(literal(1).label("one")))
        assert len(db._compiled) == _MAX_COMPILED
        built = db.compile(_MAX_COMPILED, lambda: pytest.fail("It is known."))
        assert (await db.fetch(built, {}))[0].one == 1


async def test_priority_holders_go_first_and_a_cancelled_waiter_is_skipped() -> None:
    lock, done = WriterLock(timeout=5), list[str]()

    async def act(name: str, *, priority: bool = False) -> None:
        async with lock.hold(priority=priority):
            done.append(name)
            await asyncio.sleep(0)

    async with lock.hold():
        slow = [asyncio.create_task(act(name)) for name in ("first", "cancelled", "second")]
        quick = asyncio.create_task(act("quick", priority=True))
        await asyncio.sleep(0)
        slow[1].cancel()
    await asyncio.gather(*slow, quick, return_exceptions=True)
    assert done == ["quick", "first", "second"]


async def test_waiting_too_long_for_the_writer_lock_raises() -> None:
    lock = WriterLock(timeout=0.01)
    async with lock.hold():
        with pytest.raises(TimeoutError):
            async with lock.hold():
                pytest.fail("It was taken.")
    async with lock.hold():
        pass
