"""What a transaction writes at its end."""

from collections.abc import Awaitable, Callable, Sequence

import pytest
from sqlalchemy import select

from tiktok_accounts_gql.db.closing import at_end
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.wiring import Running


@pytest.fixture
def db(running: Running) -> Database:
    return running.db


class Written(list[tuple[str, list[int]]]):
    """What was written, and by what name."""

    async def odd(self, session: Session, items: Sequence[int]) -> None:
        del session
        self.append(("odd", list(items)))

    async def even(self, session: Session, items: Sequence[int]) -> None:
        at_end(session, self.odd, [item + 1 for item in items])
        self.append(("even", list(items)))


async def test_all_of_a_kind_is_written_at_once_and_in_order(db: Database) -> None:
    written = Written()
    async with db.transaction() as session:
        at_end(session, written.odd, [1, 3])
        at_end(session, written.odd, [5])
        assert written == []
    assert written == [("odd", [1, 3, 5])]


async def test_what_writing_one_kind_asks_for_joins_the_other_kind(db: Database) -> None:
    written = Written()
    async with db.transaction() as session:
        at_end(session, written.odd, [1])
        at_end(session, written.even, [2])
    assert written == [("even", [2]), ("odd", [1, 3])]


async def undone(db: Database, written: Written) -> None:
    async with db.transaction() as session:
        at_end(session, written.odd, [1])
        raise ZeroDivisionError


async def failed(db: Database, written: Written) -> None:
    async def fail(session: Session, items: Sequence[int]) -> None:
        raise ZeroDivisionError

    async with db.transaction() as session:
        await session.execute(select(1))
        at_end(session, written.odd, [1])
        at_end(session, fail, [2])


@pytest.mark.parametrize("ending", [undone, failed])
async def test_a_transaction_that_is_undone_writes_nothing(
    db: Database, ending: Callable[[Database, Written], Awaitable[None]]
) -> None:
    written = Written()
    with pytest.raises(ZeroDivisionError):
        await ending(db, written)
    async with db.transaction():
        pass
    assert written == []


async def test_outside_of_a_transaction_nothing_is_lost_in_silence(db: Database) -> None:
    async with db.read() as session:
        with pytest.raises(KeyError):
            at_end(session, Written().odd, [1])
