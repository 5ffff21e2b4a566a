"""The migrations create the tables of the models, also when they run repeatedly or concurrently."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, TextClause, insert, select, text
from sqlmodel import SQLModel, col

from tests.db import catalogs
from tests.support.rows import NOON, account
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db import account_totals
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import NotMigrated, _build_config, check_migrated, migrate
from tiktok_accounts_gql.db.models import Account, AccountStatus

QUERIES = [catalogs.COLUMNS, catalogs.CONSTRAINTS, catalogs.INDEXES]


async def run(db: Database, act: Any) -> Any:
    async with db.transaction() as session:
        return await (await session.connection()).run_sync(act)


async def create_from_models(db: Database) -> None:
    if db.engines[1].dialect.name == "postgresql":
        for extension in ("pg_trgm", "btree_gin"):
            await run(db, lambda connection, name=extension: connection.execute(text(f"CREATE EXTENSION {name}")))
    await run(db, SQLModel.metadata.create_all)


def differences(connection: Connection) -> list[Any]:
    """Return the differences but for indexes: Alembic reads none with expressions from SQLite. `catalogs` compares them."""
    tables = MetaData()
    for table in SQLModel.metadata.tables.values():
        table.to_metadata(tables).indexes.clear()
    options = {"compare_type": True, "include_name": lambda _name, kind, _parents: kind != "index"}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), tables))


async def test_alembic_finds_no_difference_between_the_migrated_tables_and_the_models(alone: Database) -> None:
    assert await run(alone, differences) == []


@pytest.mark.parametrize("queries", QUERIES, ids=["columns", "constraints", "indexes"])
async def test_the_database_describes_migrated_tables_as_it_describes_those_of_the_models(
    alone: Database, empty: Database, queries: dict[str, str]
) -> None:
    await create_from_models(empty)
    migrated = await catalogs.read(alone, queries)
    assert migrated == await catalogs.read(empty, queries)
    assert len(migrated) >= len(SQLModel.metadata.tables)


async def test_down_and_up_again_restores_the_tables(empty: Database) -> None:
    await migrate(empty)
    before = [await catalogs.read(empty, queries) for queries in QUERIES]
    await run(empty, lambda connection: command.downgrade(_build_config(connection), "base"))
    assert [await catalogs.read(empty, queries) for queries in QUERIES] == [{}, {}, {}]
    await migrate(empty)
    assert [await catalogs.read(empty, queries) for queries in QUERIES] == before
    await check_migrated(empty)


async def test_migrating_again_changes_nothing(empty: Database) -> None:
    await migrate(empty)
    before = [await catalogs.read(empty, queries) for queries in QUERIES]
    await migrate(empty)
    assert [await catalogs.read(empty, queries) for queries in QUERIES] == before


async def test_two_processes_may_migrate_at_the_same_time(empty: Database, empty_url: str) -> None:
    other = Database.open(empty_url)
    await asyncio.gather(migrate(empty), migrate(other), migrate(empty))
    await check_migrated(other)
    await other.close()


async def test_a_migrated_database_passes_the_check(alone: Database) -> None:
    await check_migrated(alone)


async def test_an_empty_database_is_not_migrated_and_the_message_names_the_command(empty: Database) -> None:
    with pytest.raises(NotMigrated, match="tiktok-accounts migrate"):
        await check_migrated(empty)


async def test_a_database_of_another_version_is_not_migrated(empty: Database) -> None:
    await migrate(empty)
    await run(empty, lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(NotMigrated, match="tiktok-accounts migrate"):
        await check_migrated(empty)


async def test_a_migration_that_fails_leaves_nothing_behind(empty: Database) -> None:
    await run(empty, lambda connection: connection.execute(text("CREATE TABLE token_pairs (id INTEGER)")))
    with pytest.raises(Exception, match="token_pairs"):
        await migrate(empty)
    assert set(await catalogs.read(empty, catalogs.INDEXES)) == set()
    await run(empty, lambda connection: connection.execute(text("DROP TABLE token_pairs")))
    await migrate(empty)
    await check_migrated(empty)


BEFORE_EXACT_TOTALS = "0004"
STORED = """INSERT INTO accounts (id, viewer_id, open_id, display_name, display_name_key, search_text, status, health_state,
    health_action, health_since, consecutive_failures, granted_scopes, created_at, connected_at, updated_at,
    follower_count, likes_count, video_count, profile_url)
    VALUES (:id, 'ann', :id, 'Ann', 'ann', 'ann', 'ACTIVE', 'HEALTHY', 'NONE', '2026-11-24 12:00:00+00', 0, '[]',
    '2026-11-24 12:00:00+00', '2026-11-24 12:00:00+00', '2026-11-24 12:00:00+00', :followers, :likes, :videos, :link)"""
OLD: list[dict[str, Any]] = [
    {"followers": 12, "likes": 2**53 - 1, "videos": None, "link": "https://www.tiktok.com/@ann"},
    {"followers": 2**53, "likes": 5, "videos": 2, "link": "javascript:alert(1)"},
    {"followers": 2**62, "likes": 2, "videos": 3, "link": "HTTPS://www.tiktok.com/@ann"},
    {"followers": -7, "likes": 1, "videos": 4, "link": "http://www.tiktok.com/@ann"},
]


async def test_wrong_totals_and_values_beyond_the_contract_are_fixed(empty: Database) -> None:
    """In the tables of an earlier version, SQLite's totals are corrupted by an account that is inserted and deleted."""
    await migrate(empty)
    await run(empty, lambda connection: command.downgrade(_build_config(connection), BEFORE_EXACT_TOTALS))
    is_sqlite = empty.engines[0].dialect.name == "sqlite"
    async with empty.transaction() as session:
        for number, values in enumerate(OLD):
            await session.execute(_typed(STORED, is_sqlite), {"id": f"{number:032x}", **values})
        if is_sqlite:
            await session.execute(text("UPDATE accounts SET likes_count = 9223372036854775807 WHERE likes_count = 5"))
            await session.execute(text("UPDATE accounts SET likes_count = 5 WHERE likes_count > 9007199254740991"))
    await migrate(empty)
    async with empty.read() as session:
        rows = (await session.execute(text("SELECT follower_count, profile_url FROM accounts ORDER BY id"))).all()
    link = "https://www.tiktok.com/@ann"
    assert [tuple(row) for row in rows] == [
        (12, link),
        (None, None),
        (None, link.replace("https", "HTTPS")),
        (None, None),
    ]
    summary = await account_totals.summarize(empty, "ann")
    assert (summary.total_followers, summary.total_likes, summary.total_videos) == (12, 2**53 - 1, 9)
    async with empty.transaction() as session:
        await session.execute(text("UPDATE accounts SET likes_count = 1 WHERE likes_count > 100"))
    assert (await account_totals.summarize(empty, "ann")).total_likes == 9


def _typed(statement: str, is_sqlite: bool) -> TextClause:
    """Return the statement with the types that PostgreSQL requires."""
    return text(
        statement if is_sqlite else statement.replace("(:id,", "(CAST(:id AS uuid),").replace("'[]',", "'[]'::json,")
    )


async def test_existing_accounts_get_next_syncs_spread_over_a_day(empty: Database) -> None:
    """Only connected and active ones. The downgrade removes the times."""
    await run(empty, lambda connection: command.upgrade(_build_config(connection), "0004"))
    unscheduled: list[dict[str, Any]] = [{"disconnected_at": NOON}, {"status": AccountStatus.EXPIRED}]
    before = [account("viewer", n, **unscheduled[n] if n < 2 else {}) for n in range(202)]
    rows = [row.model_dump(exclude={"next_sync_at"}) for row in before]
    await run(empty, lambda connection: connection.execute(insert(Account.__table__), rows))  # type: ignore[attr-defined]
    await run(empty, lambda connection: command.upgrade(_build_config(connection), "0009"))
    columns = (col(Account.id), col(Account.next_sync_at))
    async with empty.read() as session:
        times = {row[0]: row[1] for row in await session.execute(select(*columns))}
    assert [times.pop(row.id) for row in before[:2]] == [None, None]
    days_ahead = [(time - utc_now()) / timedelta(days=1) for time in times.values() if time]
    assert len(days_ahead) == 200
    assert -0.01 < min(days_ahead) < 0.1
    assert 0.9 < max(days_ahead) < 1
    await run(empty, lambda connection: command.downgrade(_build_config(connection), "0004"))
    await migrate(empty)
    await check_migrated(empty)
