"""Work of several callers in one transaction."""

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

MOMENT = timedelta(milliseconds=50)
MOST = 50


@pytest.fixture
def db(running: Running) -> Database:
    return running.db


Work = Callable[[Session], Awaitable[Any]]


def grouping(db: Database, *, moment: timedelta = MOMENT, most: int = MOST) -> BatchWriter[Work, Any]:
    async def write(session: Session, works: Sequence[Work]) -> list[Any]:
        return [await work(session) for work in works]

    return BatchWriter(db, write, max_delay=moment, max_size=most)


@pytest.fixture
def grouped(db: Database) -> BatchWriter[Work, Any]:
    return grouping(db)


class Renaming:
    """Gives an account another name, and remembers in which transactions."""

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


async def test_one_transaction_for_all_and_each_gets_its_own_answer(
    db: Database, grouped: BatchWriter[Work, Any], viewer: str
) -> None:
    stored = await store(db, *(account(viewer, number) for number in range(5)))
    renaming = Renaming(viewer)
    work = [grouped.run(one.id, renaming.of(one.id, f"new{number}")) for number, one in enumerate(stored)]
    expected = [f"new{number}" for number in range(5)]
    assert await asyncio.gather(*work) == expected == await names(db, viewer)
    assert len(renaming.sessions) == 5
    assert len(set(map(id, renaming.sessions))) == 1


async def test_work_is_done_in_the_order_of_what_it_locks(grouped: BatchWriter[Work, Any]) -> None:
    done: list[int] = []

    def remember(number: int) -> Callable[[Session], Awaitable[None]]:
        async def work(session: Session) -> None:
            del session
            done.append(number)

        return work

    await asyncio.gather(*(grouped.run(number, remember(number)) for number in (3, 1, 2)))
    assert done == [1, 2, 3]


async def test_answers_are_spread_so_that_not_everybody_goes_on_at_once(grouped: BatchWriter[Work, Any]) -> None:
    answered: list[float] = []

    async def nothing(session: Session) -> None:
        del session

    async def ask(number: int) -> None:
        await grouped.run(number, nothing)
        answered.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(ask(number) for number in range(4)))
    assert answered[-1] - answered[0] >= 3 * RESULT_SPACING.total_seconds() - 0.005


async def test_what_comes_later_is_another_group(db: Database, grouped: BatchWriter[Work, Any], viewer: str) -> None:
    [stored] = await store(db, account(viewer))
    renaming = Renaming(viewer)
    for number in range(3):
        assert await grouped.run(stored.id, renaming.of(stored.id, f"new{number}")) == f"new{number}"
    assert await names(db, viewer) == ["new2"]


async def test_a_mistake_is_only_its_own(db: Database, grouped: BatchWriter[Work, Any], viewer: str) -> None:
    one, other, third = await store(db, *(account(viewer, number, username="old") for number in range(3)))
    renaming = Renaming(viewer)
    answers = await asyncio.gather(
        grouped.run(one.id, renaming.of(one.id, "new")),
        grouped.run(other.id, renaming.of(other.id, "never", ZeroDivisionError())),
        grouped.run(third.id, renaming.of(third.id, "new")),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [str, ZeroDivisionError, str]
    assert await names(db, viewer) == ["new", "old", "new"]


async def test_nothing_is_tried_twice_when_nobody_knows_what_became_of_it(
    db: Database, grouped: BatchWriter[Work, Any], viewer: str
) -> None:
    one, other = await store(db, account(viewer, 1), account(viewer, 2))
    renaming = Renaming(viewer)
    answers = await asyncio.gather(
        grouped.run(1, renaming.of(one.id, "new")),
        grouped.run(2, renaming.of(other.id, "new", ServiceUnavailable())),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [ServiceUnavailable, ServiceUnavailable]
    assert len(renaming.sessions) == 2


async def test_of_two_groups_that_wait_for_each_other_both_come_to_their_end(
    backend: str, db: Database, viewer: str
) -> None:
    """PostgreSQL ends one of them, which then takes its locks one after the other. SQLite has one writer anyway."""
    one, other = await store(db, account(viewer, 1), account(viewer, 2))
    both = asyncio.Barrier(1 if backend == "sqlite" else 2)
    renaming = Renaming(viewer)

    def first(account_id: UUID, name: str) -> Callable[[Session], Awaitable[str]]:
        """Only the first time: then each has what the other one wants."""
        rename, met = renaming.of(account_id, name), False

        async def work(session: Session) -> str:
            nonlocal met
            answer = await rename(session)
            if not met:
                met = True
                await both.wait()
            return answer

        return work

    here, there = grouping(db), grouping(db)
    answers = await asyncio.gather(
        here.run(1, first(one.id, "here")),
        here.run(2, renaming.of(other.id, "here")),
        there.run(1, first(other.id, "there")),
        there.run(2, renaming.of(one.id, "there")),
    )
    assert list(answers) == ["here", "here", "there", "there"]
    assert set(await names(db, viewer)) <= {"here", "there"}
    if backend == "postgresql":
        assert len(renaming.sessions) > 4  # some were undone, and done again


async def test_a_caller_who_leaves_takes_nobody_along(
    db: Database, grouped: BatchWriter[Work, Any], viewer: str
) -> None:
    one, other = await store(db, account(viewer, 1), account(viewer, 2))
    renaming = Renaming(viewer)
    leaving = asyncio.create_task(grouped.run(1, renaming.of(one.id, "left")))
    staying = asyncio.create_task(grouped.run(2, renaming.of(other.id, "stayed")))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == "stayed"
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_group_that_is_full_waits_no_longer(db: Database, viewer: str) -> None:
    stored = await store(db, *(account(viewer, number) for number in range(3)))
    renaming = Renaming(viewer)
    patient = grouping(db, moment=timedelta(minutes=10), most=3)
    async with asyncio.timeout(10):
        await asyncio.gather(*(patient.run(one.id, renaming.of(one.id, "new")) for one in stored))
    assert await names(db, viewer) == ["new"] * 3
