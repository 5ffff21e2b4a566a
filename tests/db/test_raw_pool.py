"""What goes around the engines: statements that are compiled once, on connections of their own."""

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
async def beside(url: str, **options: Any) -> AsyncGenerator[Database]:
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
async def test_a_database_that_is_not_there_is_unavailable(url: str) -> None:
    db = Database.open(url)
    with pytest.raises(ServiceUnavailable):
        await count(db, "viewer")
    with pytest.raises(ServiceUnavailable):
        await db.insert(db.compile("snapshots", lambda: insert(Snapshot)), list)
    await db.close()


async def test_connections_that_the_server_closed_are_replaced(
    alone: Database, alone_url: str, backend: str, viewer: str
) -> None:
    """Of SQLite nobody closes any."""
    async with beside(alone_url) as db:
        assert await count(db, viewer) == 0
        if backend == "postgresql":
            async with alone.read() as session:
                others = "FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
                await session.execute(text(f"SELECT pg_terminate_backend(pid) {others}"))
            await asyncio.sleep(0.1)
        assert await count(db, viewer) == 0


async def test_a_read_that_is_cancelled_leaves_its_answer_to_nobody(
    alone: Database, alone_url: str, viewer: str
) -> None:
    await store(alone, account(viewer))
    async with beside(alone_url, pool_size=1) as db:
        assert await count(db, viewer) == 1
        for _ in range(20):
            reading = asyncio.create_task(count(db, "nobody"))
            await asyncio.sleep(0)
            reading.cancel()
            assert await count(db, viewer) == 1


async def test_many_reads_share_few_connections(alone: Database, alone_url: str, viewer: str) -> None:
    await store(alone, account(viewer))
    async with beside(alone_url, pool_size=2) as db:
        assert await asyncio.gather(*[count(db, viewer) for _ in range(50)]) == [1] * 50


async def test_of_rows_that_are_appended_all_are_there_or_none(alone: Database, viewer: str) -> None:
    [row] = await store(alone, account(viewer))
    snapshot = Snapshot(viewer_id=viewer, account_id=row.id, recorded_at=NOON, hour=1, is_thinned=False).model_dump()
    appending = alone.compile("snapshots", lambda: insert(Snapshot))
    with pytest.raises(Exception, match=r"(?i)unique"):
        await alone.insert(appending, lambda: [snapshot, snapshot])
    mine = select(Snapshot).where(col(Snapshot.viewer_id) == viewer)
    async with alone.read() as session:
        assert (await session.scalars(mine)).all() == []
    await alone.insert(appending, lambda: [snapshot])
    async with alone.read() as session:
        assert [one.model_dump() for one in await session.scalars(mine)] == [snapshot]


async def test_a_row_is_what_the_object_would_be(alone: Database, viewer: str) -> None:
    values: dict[str, Any] = {"is_verified": True, "granted_scopes": ["a", "b"], "last_synced_at": NOON}
    [stored] = await store(alone, account(viewer, username="ann", follower_count=2**40, **values))
    [row] = await account_queries.list_by_ids(alone, viewer, [stored.id])
    for name in row._fields:
        assert getattr(row, name) == getattr(stored, name), name
        assert type(getattr(row, name)) is type(getattr(stored, name)) or name == "id"
    assert set(row._fields) == {*Account.model_fields} - {"search_text", "next_sync_at"}


async def test_only_what_is_asked_for_is_read_and_all_of_it_if_that_is_no_column(alone: Database, viewer: str) -> None:
    [stored] = await store(alone, account(viewer))
    [row] = await account_queries.list_by_ids(alone, viewer, [stored.id], frozenset({"username"}))
    assert row._fields == ("id", "username")
    assert resolve_columns(frozenset({"username", "a property"})) == resolve_columns(None)


async def test_the_statements_that_are_kept_are_bounded(alone_url: str) -> None:
    async with beside(alone_url) as db:
        for number in range(_MAX_COMPILED + 5):
            db.compile(number, lambda: select(literal(1).label("one")))
        assert len(db._compiled) == _MAX_COMPILED
        built = db.compile(_MAX_COMPILED, lambda: pytest.fail("It is known."))
        assert (await db.fetch(built, {}))[0].one == 1


async def test_quick_ones_go_first_and_who_is_cancelled_loses_nobodys_turn() -> None:
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


async def test_who_waits_for_a_turn_too_long_is_told() -> None:
    lock = WriterLock(timeout=0.01)
    async with lock.hold():
        with pytest.raises(TimeoutError):
            async with lock.hold():
                pytest.fail("It was taken.")
    async with lock.hold():
        pass
