"""The stored totals of a viewer's accounts equal a recount after any changes, also concurrent ones."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from tests.db.totals import LARGEST, recount
from tests.support.rows import NOON, account, store
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db import account_queries, account_totals, accounts
from tiktok_accounts_gql.db.account_totals import AccountsSummary
from tiktok_accounts_gql.db.accounts import AccountFilter, AccountTaken
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AccountStatus, AccountTotals, HealthAction, HealthState
from tiktok_accounts_gql.errors import NotFound
from tiktok_accounts_gql.services.viewer import Viewer

EXPIRED: dict[str, Any] = {"status": AccountStatus.EXPIRED, "health_action": HealthAction.RECONNECT}
CHANGES: list[Callable[[random.Random], dict[str, Any]]] = [
    lambda _: {"disconnected_at": NOON},
    lambda _: EXPIRED,
    lambda _: {"status": AccountStatus.INACTIVE, "health_state": HealthState.BROKEN},
    lambda _: {"status": AccountStatus.ACTIVE, "health_action": HealthAction.NONE},
    lambda _: {"health_action": HealthAction.GRANT_SCOPES},
    lambda _: {"display_name": "Another name"},
    lambda chance: {
        "follower_count": chance.choice([None, chance.randrange(2**40), chance.randrange(2**63)]),
        "likes_count": chance.choice([chance.randrange(1000), 2**40 - 1, 2**40, 2**53 - 1, 2**63 - 1]),
        "video_count": chance.choice([None, chance.randrange(9)]),
        "last_synced_at": NOON + timedelta(seconds=chance.randrange(9999)),
    },
]


@pytest.fixture
async def other(alone: Database, alone_url: str) -> AsyncGenerator[Database]:
    """Another process on the same database."""
    db = Database.open(alone_url)
    yield db
    await db.close()


async def assert_totals(db: Database, viewer: str) -> AccountsSummary:
    summary = await account_totals.summarize(db, viewer)
    assert summary == await recount(db, viewer)
    counts = {AccountStatus.ACTIVE: summary.active_accounts, AccountStatus.EXPIRED: summary.expired_accounts}
    for statuses in [(), (AccountStatus.ACTIVE,), (AccountStatus.EXPIRED, AccountStatus.ACTIVE)]:
        counted = await account_queries.count(db, viewer, AccountFilter(statuses=statuses))
        assert counted == (sum(counts[status] for status in statuses) if statuses else summary.total_accounts)
    return summary


class Actor:
    """Makes random changes to accounts that all actors share."""

    def __init__(self, db: Database, chance: random.Random, viewers: list[str], owners: dict[UUID, str]) -> None:
        self._db = db
        self._chance = chance
        self._viewers = viewers
        self._owners = owners

    async def act(self) -> None:
        act = self._chance.choices([self._connect, self._change, self._change_many, self._fail], [3, 6, 3, 1])[0]
        try:
            async with self._db.transaction() as session:
                await act(session)
        except (NotFound, AccountTaken, ZeroDivisionError):
            return

    async def _connect(self, session: Session) -> None:
        viewer, open_id = self._chance.choice(self._viewers), f"{self._viewers[0]} {self._chance.randrange(30)}"
        values = accounts.name_columns("ann", "Ann") | {"granted_scopes": [], "updated_at": NOON, "health_since": NOON}
        added = await accounts.add(session, viewer, open_id=open_id, connected_at=NOON, **values)
        self._owners[added.id] = viewer

    async def _change(self, session: Session) -> None:
        if self._owners:
            key, viewer = self._chance.choice(list(self._owners.items()))
            if self._chance.random() < 0.2:
                await accounts.reconnect(session, viewer, key, updated_at=NOON)
            else:
                await accounts.change(session, viewer, key, **self._chance.choice(CHANGES)(self._chance))

    async def _change_many(self, session: Session) -> None:
        """In one transaction, by one statement each or by one for all; always in the same order."""
        viewer = self._chance.choice(self._viewers)
        keys = sorted(key for key, owner in self._owners.items() if owner == viewer)
        chosen = sorted(self._chance.sample(keys, min(len(keys), 4)))
        owned = update(Account).where(col(Account.viewer_id) == viewer)
        for key in chosen:
            await session.execute(
                owned.where(col(Account.id) == key).values(**self._chance.choice(CHANGES[1:])(self._chance))
            )
        if self._chance.random() < 0.5:
            await session.execute(
                owned.where(col(Account.id).in_(chosen)).values(follower_count=self._chance.randrange(99))
            )

    async def _fail(self, session: Session) -> None:
        await self._change(session)
        raise ZeroDivisionError


@pytest.mark.parametrize("seed", range(5))
async def test_totals_equal_a_recount_after_concurrent_random_changes(
    alone: Database, other: Database, seed: int
) -> None:
    viewers = [f"viewer {uuid4().hex}" for _ in range(3)]
    owners: dict[UUID, str] = {}

    async def act(db: Database, number: int) -> None:
        actor = Actor(db, random.Random(f"{seed} {number}"), viewers, owners)
        for _ in range(25):
            await actor.act()

    await asyncio.gather(*[act(db, number) for number, db in enumerate([alone, other, alone, other, alone, other])])
    summaries = [await assert_totals(alone, viewer) for viewer in viewers]
    assert sum(summary.total_accounts for summary in summaries)
    assert len(owners) > 10


async def test_writers_of_one_viewers_accounts_never_wait_for_its_totals(
    alone: Database, other: Database, backend: str, viewer: str
) -> None:
    """On PostgreSQL each has changed one account before any changes its next one: one row of totals would deadlock.

    On SQLite they run one after another.
    """
    writers, rounds = 6, 3
    rows = await store(alone, *[account(viewer, number) for number in range(writers * rounds)])
    turn = asyncio.Barrier(writers if backend == "postgresql" else 1)

    async def write(number: int) -> None:
        async with (alone, other)[number % 2].transaction() as session:
            for row in rows[number::writers]:
                await accounts.change(session, viewer, row.id, follower_count=number, **EXPIRED)
                async with turn:
                    pass

    await asyncio.wait_for(asyncio.gather(*[write(number) for number in range(writers)]), 30)
    assert (await assert_totals(alone, viewer)).expired_accounts == len(rows)


async def test_parts_of_totals_are_folded_when_no_other_transaction_writes(
    alone: Database, other: Database, viewer: str
) -> None:
    rows = await store(alone, *[account(viewer, number) for number in range(40)])

    async def change(db: Database, row: Account) -> None:
        async with db.transaction() as session:
            await accounts.change(session, viewer, row.id, follower_count=7)

    await asyncio.gather(*[change((alone, other)[number % 2], row) for number, row in enumerate(rows[1:])])
    await change(alone, rows[0])
    parts = select(func.count()).select_from(AccountTotals).where(col(AccountTotals.viewer_id) == viewer)
    async with alone.read() as session:
        assert (await session.execute(parts)).scalar_one() == 1
    assert (await assert_totals(alone, viewer)).total_followers == 7 * len(rows)


@pytest.mark.parametrize(
    ("count", "number"),
    [(2**40, 2), (2**53 - 1, 2), (2**63 - 1, 2), (2**63 - 1, 3), (2**53 - 1, 1200)],
    ids=["upper half", "contract", "integer", "three", "many"],
)
async def test_a_sum_beyond_the_contract_is_its_largest_number_and_comes_down_exactly(
    alone: Database, viewer: str, count: int, number: int
) -> None:
    counters: dict[str, Any] = {"follower_count": count, "likes_count": count, "video_count": count}
    rows = await store(alone, account(viewer, likes_count=7), *[account(viewer, n, **counters) for n in range(number)])
    assert (await assert_totals(alone, viewer)).total_likes == min(count * number + 7, LARGEST)
    for row in rows[1:3]:
        async with alone.transaction() as session:
            await accounts.change(session, viewer, row.id, likes_count=1)
    assert (await assert_totals(alone, viewer)).total_likes == min(count * (number - 2) + 9, LARGEST)
    others_of_viewer = update(Account).where(col(Account.viewer_id) == viewer, col(Account.likes_count) != 7)
    async with alone.transaction() as session:
        await session.execute(others_of_viewer.values(disconnected_at=NOON))
    assert (await assert_totals(alone, viewer)).total_likes == 7


async def test_an_account_that_is_deleted_or_moves_to_another_viewer_counts_there(alone: Database, viewer: str) -> None:
    moved, deleted, _ = await store(alone, *[account(viewer, number, likes_count=5) for number in range(3)])
    async with alone.transaction() as session:
        await session.execute(update(Account).where(col(Account.id) == moved.id).values(viewer_id=f"not {viewer}"))
        await session.delete(await session.get(Account, deleted.id))
    for owner in (viewer, f"not {viewer}"):
        assert (await assert_totals(alone, owner)).total_likes == 5


async def test_totals_are_right_after_everything_that_services_do(tiktok: TikTok, viewer: str) -> None:
    running = tiktok.running
    caller = Viewer(id=viewer)

    async def withdraw(open_id: str) -> None:
        await running.services.removals.remove(open_id, 1, NOON + timedelta(days=3650))

    first, second = await tiktok.connect(viewer), await tiktok.connect(viewer)
    steps: list[Callable[[], Awaitable[object]]] = [
        lambda: running.services.syncing.sync(caller, first.id),
        lambda: withdraw(second.open_id),
        lambda: running.services.accounts.disconnect(caller, first.id, None),
        lambda: tiktok.connect(viewer, first.open_id),
        lambda: tiktok.connect(viewer, second.open_id),
    ]
    assert (await assert_totals(running.db, viewer)).total_accounts == 2
    for step in steps:
        await step()
        await assert_totals(running.db, viewer)
    assert (await account_totals.summarize(running.db, viewer)).active_accounts == 2
