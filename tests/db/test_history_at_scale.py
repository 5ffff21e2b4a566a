"""400 days of a page of accounts, out of 100,000 snapshots of one viewer, are one indexed statement each."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import insert, text
from uuid_utils.compat import uuid7

from tests.db.conftest import empty_database
from tests.db.query_plans import explain
from tests.support.rows import NOON, account, store
from tiktok_accounts_gql.db import snapshot_queries, snapshots
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import migrate
from tiktok_accounts_gql.db.models import Account, Snapshot
from tiktok_accounts_gql.db.snapshots import Period

pytestmark = [pytest.mark.untraced, pytest.mark.proof]

ACCOUNTS, DAYS = 250, 400
PAGE = 20


@pytest_asyncio.fixture(scope="module", params=["sqlite", "postgresql"])
async def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[tuple[Database, list[Account]]]:
    async with empty_database(request.param, request.config, tmp_path_factory.mktemp("history")) as url:
        db = Database.open(url)
        await migrate(db)
        rows = await store(db, *[account("viewer", number) for number in range(ACCOUNTS)])
        for start in range(0, ACCOUNTS, 25):
            snapshots_of_rows = [snapshot_on(row, day) for row in rows[start : start + 25] for day in range(DAYS)]
            async with db.transaction() as session:
                await session.execute(insert(Snapshot), snapshots_of_rows)
        async with db.read() as session:
            await session.execute(text("ANALYZE"))
        yield db, rows
        await db.close()


def snapshot_on(row: Account, day: int) -> dict[str, Any]:
    time = NOON - timedelta(days=day)
    return {
        "id": uuid7(),
        "viewer_id": row.viewer_id,
        "account_id": row.id,
        "recorded_at": time,
        "hour": snapshots.hour_of(time),
        "is_thinned": False,
        "follower_count": day,
    }


def assert_indexed(plan: str) -> None:
    assert "snapshots_by_account" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "SCAN snapshots" not in plan, plan


async def test_points_of_a_page_are_one_statement_through_the_index(filled: tuple[Database, list[Account]]) -> None:
    db, rows = filled
    page = [row.id for row in rows[:PAGE]]
    period = Period(start=NOON - timedelta(days=DAYS), end=NOON + timedelta(days=1), hours=24)
    [plan] = await explain(db, lambda _: snapshot_queries.list_points(db, "viewer", page, period))
    assert_indexed(plan)
    assert len(await snapshot_queries.list_points(db, "viewer", page, period)) == PAGE * DAYS


async def test_growth_of_a_page_is_one_statement_through_the_index(filled: tuple[Database, list[Account]]) -> None:
    db, rows = filled
    page, since = [row.id for row in rows[:PAGE]], NOON - timedelta(days=365)
    [plan] = await explain(db, lambda _: snapshot_queries.list_first_and_last(db, "viewer", page, since))
    assert_indexed(plan)
    assert "Window" not in plan
    assert len(await snapshot_queries.list_first_and_last(db, "viewer", page, since)) == PAGE
