"""Work that a transaction defers to its end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlmodel import col

from tests.support.rows import NOON, account, store
from tests.support.statements import counted_statements
from tiktok_accounts_gql.db import account_writes, accounts
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, Snapshot
from tiktok_accounts_gql.db.tables import table_of
from tiktok_accounts_gql.db.unit_of_work import FlushStep, defer, defer_rows
from tiktok_accounts_gql.wiring import Running

ADD = insert(table_of(Snapshot))


@pytest.fixture
def db(running: Running) -> Database:
    return running.db


class Recorder(list[tuple[str, list[int]]]):
    """Callbacks that record their calls."""

    async def odd(self, session: Session, items: Sequence[int]) -> None:
        del session
        self.append(("odd", list(items)))

    async def even(self, session: Session, items: Sequence[int]) -> None:
        defer(session, FlushStep.JOB_COUNTS, self.odd, [item + 1 for item in items])
        self.append(("even", list(items)))


async def test_a_callback_gets_all_of_its_items_at_once_and_in_order(db: Database) -> None:
    written = Recorder()
    async with db.transaction() as session:
        defer(session, FlushStep.JOB_COUNTS, written.odd, [1, 3])
        defer(session, FlushStep.JOB_COUNTS, written.odd, [5])
        assert written == []
    assert written == [("odd", [1, 3, 5])]


async def test_work_that_a_callback_defers_joins_that_of_a_later_step(db: Database) -> None:
    written = Recorder()
    async with db.transaction() as session:
        defer(session, FlushStep.JOB_COUNTS, written.odd, [1])
        defer(session, FlushStep.SYNC_RESULTS, written.even, [2])
    assert written == [("even", [2]), ("odd", [1, 3])]


async def raise_in_body(db: Database, written: Recorder) -> None:
    async with db.transaction() as session:
        defer(session, FlushStep.JOB_COUNTS, written.odd, [1])
        raise ZeroDivisionError


async def raise_in_callback(db: Database, written: Recorder) -> None:
    async def fail(session: Session, items: Sequence[int]) -> None:
        raise ZeroDivisionError

    async with db.transaction() as session:
        await session.execute(select(1))
        defer(session, FlushStep.JOB_COUNTS, written.odd, [1])
        defer(session, FlushStep.SYNC_RESULTS, fail, [2])


@pytest.mark.parametrize("ending", [raise_in_body, raise_in_callback])
async def test_a_rolled_back_transaction_writes_nothing(
    db: Database, ending: Callable[[Database, Recorder], Awaitable[None]]
) -> None:
    written = Recorder()
    with pytest.raises(ZeroDivisionError):
        await ending(db, written)
    async with db.transaction():
        pass
    assert written == []


async def test_work_cannot_be_deferred_outside_of_a_transaction(db: Database) -> None:
    async with db.read() as session:
        with pytest.raises(KeyError):
            defer(session, FlushStep.JOB_COUNTS, Recorder().odd, [1])


def snapshot(row: Account, recorded_at: datetime = NOON) -> dict[str, Any]:
    return Snapshot(viewer_id=row.viewer_id, account_id=row.id, recorded_at=recorded_at, hour=1).model_dump()


async def stored(db: Database, row: Account) -> tuple[str, list[datetime]]:
    """Return the account's name and the times of its snapshots."""
    async with db.read() as session:
        name = await session.scalar(select(col(Account.display_name)).where(col(Account.id) == row.id))
        times = select(col(Snapshot.recorded_at)).where(col(Snapshot.account_id) == row.id)
        return str(name), list((await session.scalars(times.order_by(col(Snapshot.recorded_at)))).all())


async def test_rows_are_written_by_one_execution_after_all_callbacks(db: Database, viewer: str) -> None:
    [row] = await store(db, account(viewer))
    later = NOON + timedelta(hours=1)

    async def add_one_more(session: Session, items: Sequence[int]) -> None:
        del items
        defer_rows(session, ADD, [snapshot(row, later)])

    with counted_statements() as statements:
        async with db.transaction() as session:
            defer_rows(session, ADD, [snapshot(row)])
            defer(session, FlushStep.EVENTS, add_one_more, [1])
    assert statements.writes_of("snapshots") == 1
    assert await stored(db, row) == (row.display_name, [NOON, later])


async def test_a_row_that_cannot_be_written_rolls_the_transaction_back(db: Database, viewer: str) -> None:
    [row] = await store(db, account(viewer))

    async def change() -> None:
        async with db.transaction() as session:
            account_writes.update_at_commit(session, row, **accounts.name_columns("new", "New"))
            defer_rows(session, ADD, [snapshot(row), snapshot(row)])

    with pytest.raises(Exception, match=r"(?i)unique"):
        await change()
    assert (await stored(db, row))[1] == []
    async with db.read() as session:
        assert (await accounts.get(session, viewer, row.id)).username != "new"


async def test_a_cancelled_commit_writes_all_or_nothing(db: Database, viewer: str) -> None:
    """And it releases the writer lock."""
    [row] = await store(db, account(viewer, display_name="old"))

    async def change(number: int) -> None:
        async with db.transaction() as session:
            await accounts.change(session, viewer, row.id, **accounts.name_columns(None, f"name {number}"))
            defer_rows(session, ADD, [snapshot(row, NOON + timedelta(seconds=number))])

    for number in range(40):
        before = await stored(db, row)
        task = asyncio.create_task(change(number))
        await asyncio.sleep(number / 10_000)
        task.cancel()
        await asyncio.wait([task])
        name, times = await stored(db, row)
        changed = (f"name {number}", [*before[1], NOON + timedelta(seconds=number)])
        assert (name, times) in (before, changed)
    async with asyncio.timeout(5):
        await change(99)
    assert (await stored(db, row))[0] == "name 99"


async def test_an_account_that_is_updated_at_commit_has_its_new_values_at_once(db: Database, viewer: str) -> None:
    [row] = await store(db, account(viewer, display_name="old"))
    async with db.transaction() as session:
        locked = await account_writes.lock(session, [(viewer, row.id), (f"other of {viewer}", row.id)])
        assert locked.keys() == {(viewer, row.id)}
        updated = account_writes.update_at_commit(session, locked[viewer, row.id], **accounts.name_columns(None, "new"))
        assert updated.display_name == "new"
        assert (await accounts.get(session, viewer, row.id)).display_name == "new"
    assert (await stored(db, row))[0] == "new"


async def test_objects_are_written_before_the_rows_that_refer_to_them(db: Database, viewer: str) -> None:
    """On SQLite the rows are written with the commit: an object that was only added would come too late."""
    row = account(viewer)
    async with db.transaction() as session:
        session.add(row)
        defer_rows(session, ADD, [snapshot(row)])
    assert (await stored(db, row))[1] == [NOON]
