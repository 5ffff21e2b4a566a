"""The migrations: they make the tables of the models, from whoever runs them and however often."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, insert, select, text
from sqlmodel import SQLModel, col

from tests.db import catalogs
from tests.support.rows import NOON, account
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import NotMigrated, _config, check_migrated, migrate
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
    """Without indexes, which the catalogs compare: Alembic reads none of expressions from SQLite."""
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


async def test_down_and_up_again_is_where_it_began(empty: Database) -> None:
    await migrate(empty)
    before = [await catalogs.read(empty, queries) for queries in QUERIES]
    await run(empty, lambda connection: command.downgrade(_config(connection), "base"))
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


async def test_accounts_of_before_get_times_spread_over_the_coming_day(empty: Database) -> None:
    """Connected and active ones; those that are not, none. The way back takes the times away again."""
    await run(empty, lambda connection: command.upgrade(_config(connection), "0004"))
    gone: list[dict[str, Any]] = [{"disconnected_at": NOON}, {"status": AccountStatus.EXPIRED}]
    before = [account("viewer", n, **gone[n] if n < 2 else {}) for n in range(202)]
    rows = [one.model_dump(exclude={"next_sync_at"}) for one in before]
    await run(empty, lambda connection: connection.execute(insert(Account.__table__), rows))  # type: ignore[attr-defined]
    await run(empty, lambda connection: command.upgrade(_config(connection), "0008"))
    columns = (col(Account.id), col(Account.next_sync_at))
    async with empty.read() as session:
        times = {row[0]: row[1] for row in await session.execute(select(*columns))}
    assert [times.pop(one.id) for one in before[:2]] == [None, None]
    ahead = [(time - utc_now()) / timedelta(days=1) for time in times.values() if time]
    assert len(ahead) == 200
    assert -0.01 < min(ahead) < 0.1
    assert 0.9 < max(ahead) < 1
    await run(empty, lambda connection: command.downgrade(_config(connection), "0004"))
    await migrate(empty)
    await check_migrated(empty)
