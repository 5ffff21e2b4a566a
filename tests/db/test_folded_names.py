"""Migration 0007 folds the names that are stored, in portions."""

import asyncio
from collections.abc import Sequence
from typing import Any

from alembic import command
from sqlalchemy import Connection, Update, event, text

from tests.support.rows import account, store
from tests.support.statements import counted_statements
from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import _build_config, _list_portions, check_migrated, migrate

NAMES = ["İstanbul", "Işık", "Zo\u200bë", "Nguyễn", "Łódź", "plain", "\u200b", " @zoe ", "한글", "مُحَمَّد"]
OLD = {"username_key": "old", "display_name_key": "old", "search_text": "old\x1fold"}
BEFORE, FOLDED = "0006", "0007"


async def run(db: Database, act: Any) -> Any:
    async with db.transaction() as session:
        return await (await session.connection()).run_sync(act)


def downgrade(connection: Connection) -> None:
    command.downgrade(_build_config(connection), BEFORE)


async def filled(db: Database, count: int) -> None:
    """Insert accounts whose names are folded as an earlier version did."""
    await migrate(db)
    rows = [account("v", n, display_name=NAMES[n % len(NAMES)], username=[None, "É_1"][n % 2]) for n in range(count)]
    await store(db, *[row.model_copy(update={**OLD, "username_key": row.username and "old"}) for row in rows])
    await run(db, downgrade)


async def held(db: Database) -> Sequence[Any]:
    async with db.read() as session:
        statement = "SELECT username, display_name, username_key, display_name_key, search_text FROM accounts"
        return (await session.execute(text(statement))).all()


def is_folded(row: Any) -> bool:
    return bool(dict(row._mapping) == accounts.name_columns(row.username, row.display_name))


async def test_every_name_is_folded_again(empty: Database) -> None:
    await filled(empty, 40)
    assert not any(map(is_folded, await held(empty)))
    await migrate(empty)
    rows = await held(empty)
    assert len(rows) == 40
    assert all(map(is_folded, rows))
    await check_migrated(empty)


async def test_no_portion_holds_more_than_500_accounts(empty: Database) -> None:
    await filled(empty, 1100)
    [portion] = _list_portions({BEFORE})
    last: Any = None
    for expected in (500, 1000, 1100, 1100):
        last = await run(empty, lambda connection, after=last: portion(connection, after))
        assert sum(map(is_folded, await held(empty))) == expected
    assert last is None


async def test_a_folded_name_is_not_written_again(empty: Database) -> None:
    await filled(empty, 20)
    [portion] = _list_portions({BEFORE})
    await run(empty, lambda connection: portion(connection, None))
    with counted_statements() as statements:
        await run(empty, lambda connection: command.upgrade(_build_config(connection), FOLDED))
    assert statements.writes_of("accounts") == 0


async def test_two_processes_may_fold_at_the_same_time(empty: Database, empty_url: str) -> None:
    await filled(empty, 600)
    other = Database.open(empty_url)
    await asyncio.gather(migrate(empty), migrate(other))
    await other.close()
    assert all(map(is_folded, await held(empty)))


async def test_an_account_that_is_renamed_meanwhile_keeps_its_new_name(empty: Database) -> None:
    """The account is read with its old name and written after its rename, and keeps the columns of one name."""
    await filled(empty, 1)
    [portion] = _list_portions({BEFORE})
    renamed = accounts.name_columns("new", "New")

    def rename(connection: Connection, statement: Any, *_: Any) -> None:
        if isinstance(statement, Update):
            sets = ", ".join(f"{name} = :{name}" for name in renamed)
            connection.execute(text(f"UPDATE accounts SET {sets}"), renamed)

    def rename_between(connection: Connection) -> None:
        event.listen(connection, "before_execute", rename)
        portion(connection, None)

    await run(empty, rename_between)
    [row] = await held(empty)
    assert dict(row._mapping) == renamed


async def test_others_write_while_a_portion_is_folded_or_right_after_it(
    empty: Database, empty_url: str, backend: str
) -> None:
    """PostgreSQL locks the portion's rows alone; SQLite has one writer."""
    await filled(empty, 501)
    [portion] = _list_portions({BEFORE})
    other = Database.open(empty_url)

    async def write(last: Any) -> None:
        async with asyncio.timeout(5), other.transaction() as session:
            value = last.hex if backend == "sqlite" else last
            beyond = "UPDATE accounts SET follower_count = 7 WHERE id > :last RETURNING id"
            assert len((await session.execute(text(beyond), {"last": value})).all()) == 1

    async with empty.transaction() as session:
        last = await (await session.connection()).run_sync(portion, None)
        writing = asyncio.create_task(write(last))
        if backend == "postgresql":
            await writing
    await writing
    await other.close()
