"""Batching of writes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlmodel import col

from tests.support.rows import account, store
from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.batch_writer import RESULT_SPACING, BatchWriter
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.wiring import Running

MAX_DELAY = timedelta(milliseconds=50)
MAX_SIZE = 50


@pytest.fixture
def db(running: Running) -> Database:
    return running.db


Work = Callable[[Session], Awaitable[Any]]


def open_writer(db: Database, *, max_delay: timedelta = MAX_DELAY, max_size: int = MAX_SIZE) -> BatchWriter[Work, Any]:
    async def write(session: Session, works: Sequence[Work]) -> list[Any]:
        return [await work(session) for work in works]

    return BatchWriter(db, write, max_delay=max_delay, max_size=max_size)


@pytest.fixture
def writer(db: Database) -> BatchWriter[Work, Any]:
    return open_writer(db)


class Renaming:
    """Renames accounts, and records the sessions in which it did."""

    def __init__(self, viewer: str) -> None:
        self.viewer = viewer
        self.sessions: list[Session] = []

    def of(self, account_id: UUID, name: str, error: Exception | None = None) -> Callable[[Session], Awaitable[str]]:
        async def rename(session: Session) -> str:
            self.sessions.append(session)
            await accounts.change(session, self.viewer, account_id, **accounts.name_columns(name, name))
            if error is not None:
                raise error
            return name

        return rename


async def names(db: Database, viewer: str) -> list[str | None]:
    async with db.read() as session:
        stored = select(col(Account.username)).where(col(Account.viewer_id) == viewer)
        return list((await session.scalars(stored.order_by(col(Account.created_at).desc()))).all())


async def test_all_items_share_a_transaction_and_each_gets_its_result(
    db: Database, writer: BatchWriter[Work, Any], viewer: str
) -> None:
    stored = await store(db, *(account(viewer, number) for number in range(5)))
    renaming = Renaming(viewer)
    work = [writer.run(row.id, renaming.of(row.id, f"new{number}")) for number, row in enumerate(stored)]
    expected = [f"new{number}" for number in range(5)]
    assert await asyncio.gather(*work) == expected == await names(db, viewer)
    assert len(renaming.sessions) == 5
    assert len(set(map(id, renaming.sessions))) == 1


async def test_items_are_written_in_the_order_of_their_sort_keys(writer: BatchWriter[Work, Any]) -> None:
    done: list[int] = []

    def remember(number: int) -> Callable[[Session], Awaitable[None]]:
        async def work(session: Session) -> None:
            del session
            done.append(number)

        return work

    await asyncio.gather(*(writer.run(number, remember(number)) for number in (3, 1, 2)))
    assert done == [1, 2, 3]


async def test_results_are_spaced_so_that_callers_do_not_continue_at_once(writer: BatchWriter[Work, Any]) -> None:
    answered: list[float] = []

    async def nothing(session: Session) -> None:
        del session

    async def ask(number: int) -> None:
        await writer.run(number, nothing)
        answered.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(ask(number) for number in range(4)))
    assert answered[-1] - answered[0] >= 3 * RESULT_SPACING.total_seconds() - 0.005


async def test_a_later_item_is_written_in_another_batch(
    db: Database, writer: BatchWriter[Work, Any], viewer: str
) -> None:
    [stored] = await store(db, account(viewer))
    renaming = Renaming(viewer)
    for number in range(3):
        assert await writer.run(stored.id, renaming.of(stored.id, f"new{number}")) == f"new{number}"
    assert await names(db, viewer) == ["new2"]


async def test_an_error_is_raised_only_for_its_own_item(
    db: Database, writer: BatchWriter[Work, Any], viewer: str
) -> None:
    first_row, second_row, third_row = await store(
        db, *(account(viewer, number, username="old") for number in range(3))
    )
    renaming = Renaming(viewer)
    answers = await asyncio.gather(
        writer.run(first_row.id, renaming.of(first_row.id, "new")),
        writer.run(second_row.id, renaming.of(second_row.id, "never", ZeroDivisionError())),
        writer.run(third_row.id, renaming.of(third_row.id, "new")),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [str, ZeroDivisionError, str]
    assert await names(db, viewer) == ["new", "old", "new"]


async def test_a_batch_with_an_unknown_outcome_is_not_retried(
    db: Database, writer: BatchWriter[Work, Any], viewer: str
) -> None:
    first_row, second_row = await store(db, account(viewer, 1), account(viewer, 2))
    renaming = Renaming(viewer)
    answers = await asyncio.gather(
        writer.run(1, renaming.of(first_row.id, "new")),
        writer.run(2, renaming.of(second_row.id, "new", ServiceUnavailable())),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [ServiceUnavailable, ServiceUnavailable]
    assert len(renaming.sessions) == 2


async def test_two_batches_that_deadlock_both_succeed(backend: str, db: Database, viewer: str) -> None:
    """PostgreSQL rolls first_row of them back, which is then written item by item. SQLite has first_row writer anyway."""
    first_row, second_row = await store(db, account(viewer, 1), account(viewer, 2))
    both = asyncio.Barrier(1 if backend == "sqlite" else 2)
    renaming = Renaming(viewer)

    def meet_first(account_id: UUID, name: str) -> Callable[[Session], Awaitable[str]]:
        """Wait at the barrier once, so that each batch holds a lock that the second_row needs."""
        rename, met = renaming.of(account_id, name), False

        async def work(session: Session) -> str:
            nonlocal met
            answer = await rename(session)
            if not met:
                met = True
                await both.wait()
            return answer

        return work

    here, there = open_writer(db), open_writer(db)
    answers = await asyncio.gather(
        here.run(1, meet_first(first_row.id, "here")),
        here.run(2, renaming.of(second_row.id, "here")),
        there.run(1, meet_first(second_row.id, "there")),
        there.run(2, renaming.of(first_row.id, "there")),
    )
    assert list(answers) == ["here", "here", "there", "there"]
    assert set(await names(db, viewer)) <= {"here", "there"}
    if backend == "postgresql":
        assert len(renaming.sessions) > 4  # some were rolled back and retried


async def test_a_cancelled_caller_does_not_cancel_the_others(
    db: Database, writer: BatchWriter[Work, Any], viewer: str
) -> None:
    first_row, second_row = await store(db, account(viewer, 1), account(viewer, 2))
    renaming = Renaming(viewer)
    leaving = asyncio.create_task(writer.run(1, renaming.of(first_row.id, "left")))
    staying = asyncio.create_task(writer.run(2, renaming.of(second_row.id, "stayed")))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == "stayed"
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_full_batch_is_written_without_delay(db: Database, viewer: str) -> None:
    stored = await store(db, *(account(viewer, number) for number in range(3)))
    renaming = Renaming(viewer)
    patient = open_writer(db, max_delay=timedelta(minutes=10), max_size=3)
    async with asyncio.timeout(10):
        await asyncio.gather(*(patient.run(row.id, renaming.of(row.id, "new")) for row in stored))
    assert await names(db, viewer) == ["new"] * 3
