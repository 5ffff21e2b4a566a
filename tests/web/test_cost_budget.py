"""What each viewer may spend: over all processes, without a row for each request, and said in every answer."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.live.acting import WATCH_ACCOUNTS
from tests.support.server import Api, serving
from tests.support.statements import counted_statements
from tiktok_accounts_gql.db import cost_buckets
from tiktok_accounts_gql.db.cost_buckets import BucketSize
from tiktok_accounts_gql.errors import BudgetExhausted
from tiktok_accounts_gql.services.cost_budget import CostBudget
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.wiring import Running, open_services

PAGE = "{ accounts(first: 50) { edges { node { id } } } }"  # 5 points
SLOW = 1  # points a second: next to nothing comes back during a test


@pytest_asyncio.fixture
async def poor(settings: Settings, viewer: str) -> AsyncGenerator[Api]:
    """A viewer of a server that allows twelve points."""
    limited = settings.model_copy(update={"cost_limit": 12, "cost_restore_rate": SLOW})
    async with serving(limited) as url, httpx.AsyncClient(base_url=url, verify=get_ssl_context(), timeout=30) as http:
        yield Api(http=http, settings=limited, viewer=viewer)


async def test_an_answer_says_what_it_cost(api: Api) -> None:
    for _ in range(2):  # the second one is kept
        answer = (await api.post(PAGE)).json()
        assert answer["extensions"] == {"cost": 5}


async def test_an_operation_that_costs_too_much_says_so(api: Api) -> None:
    histories = " ".join(f"h{n}: statsHistory(granularity: HOUR) {{ followerCount }}" for n in range(30))
    answer = await api.post(f"{{ accounts(first: 50) {{ edges {{ node {{ {histories} }} }} }} }}")
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (400, "LIMIT_EXCEEDED")
    assert "points; 1000 are allowed" in error["message"]


@pytest.mark.parametrize("accept", ["application/graphql-response+json", "application/json"])
async def test_who_has_spent_everything_is_told_when_to_come_again(poor: Api, accept: str) -> None:
    assert [(await poor.post(PAGE, Accept=accept)).status_code for _ in range(2)] == [200, 200]
    refused = await poor.post(PAGE, Accept=accept)
    [error] = refused.json()["errors"]
    assert (refused.status_code, error["extensions"]["code"]) == (429, "RATE_LIMITED")
    assert 1 <= error["extensions"]["retryAfterSeconds"] <= 5
    assert refused.headers["Retry-After"] == str(error["extensions"]["retryAfterSeconds"])
    assert refused.headers["Content-Type"].startswith(accept)


async def test_a_stream_is_refused_in_its_type(poor: Api) -> None:
    for _ in range(2):
        await poor.post(PAGE)
    await poor.post("{ viewer { id } }")
    await poor.post("{ viewer { id } }")
    answer = await poor.post(WATCH_ACCOUNTS, Accept="text/event-stream")
    assert answer.status_code == 429
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert '"RATE_LIMITED"' in answer.text


async def test_others_have_budgets_of_their_own(poor: Api) -> None:
    for _ in range(3):
        await poor.post(PAGE)
    other = Api(http=poor.http, settings=poor.settings, viewer=f"other-{poor.viewer}")
    assert (await other.post(PAGE)).status_code == 200


async def test_the_budget_can_be_read(poor: Api) -> None:
    data = await poor.data("{ rateLimit { limit cost remaining resetAt } }")
    limit = data["rateLimit"]
    assert (limit["limit"], limit["cost"]) == (12, 1)
    assert 10 <= limit["remaining"] <= 12


async def test_without_a_limit_there_is_none(settings: Settings, viewer: str) -> None:
    free = settings.model_copy(update={"cost_limit": 0})
    async with serving(free) as url, httpx.AsyncClient(base_url=url, verify=get_ssl_context(), timeout=30) as http:
        api = Api(http=http, settings=free, viewer=viewer)
        limit = (await api.data("{ rateLimit { limit cost remaining } }"))["rateLimit"]
        assert limit == {"limit": 0, "cost": 1, "remaining": 0}
        assert {(await api.post(PAGE)).status_code for _ in range(5)} == {200}


def budget(running: Running, **size: Any) -> CostBudget:
    return CostBudget(
        db=running.db, size=BucketSize(**{"limit": 10_000, "restored": SLOW, **size}), clock=running.hub._clock
    )


async def spent(one: CostBudget, viewer: str, points: int) -> int:
    """How many of these points in a row there were."""
    count = 0
    for _ in range(points):
        try:
            await one.spend(viewer, 1)
        except BudgetExhausted:
            return count
        count += 1
    return count


async def test_four_processes_spend_no_more_than_one(running: Running, settings: Settings, viewer: str) -> None:
    """Within five percent, though none of them asks the database for each request."""
    budgets = [budget(running, limit=4000) for _ in range(4)]
    with counted_statements() as statements:
        counts = await asyncio.gather(*(spent(one, viewer, 4000) for one in budgets))
    assert 0.95 * 4000 <= sum(counts) <= 1.01 * 4000
    assert statements.writes_of("cost_buckets") < 400


async def test_what_is_not_spent_is_given_back(running: Running, viewer: str) -> None:
    first, second = budget(running, limit=100), budget(running, limit=100)
    await first.spend(viewer, 1)
    await first.close()
    assert await spent(second, viewer, 200) >= 98


async def test_points_come_back_with_time(running: Running, viewer: str) -> None:
    one = budget(running, limit=10, restored=50)
    assert await spent(one, viewer, 10) == 10
    await asyncio.sleep(0.3)
    assert await spent(one, viewer, 20) >= 8


async def test_who_is_refused_does_not_keep_the_database_busy(running: Running, viewer: str) -> None:
    one = budget(running, limit=10)
    await spent(one, viewer, 20)
    with counted_statements() as statements:
        assert await spent(one, viewer, 1) == 0
        for _ in range(100):
            with pytest.raises(BudgetExhausted):
                await one.spend(viewer, 5)
    assert statements.writes_of("cost_buckets") <= 1


async def test_nothing_is_kept_of_who_was_refused_but_the_wallet(running: Running, viewer: str) -> None:
    own = budget(running, limit=10, restored=SLOW)
    for number in range(20):
        with pytest.raises(BudgetExhausted):
            await own.spend(f"{viewer}-{number}", 11)
    assert (len(own._wallets), len(own._locks)) == (20, 0)


async def test_full_buckets_are_forgotten(running: Running, viewer: str) -> None:
    one = budget(running, limit=10, restored=1000)
    await one.spend(viewer, 1)
    await asyncio.sleep(0.05)
    await one.prune()
    async with running.db.transaction() as session:
        assert await cost_buckets.delete_full(session, BucketSize(limit=10, restored=1000), limit=10) == 0
    await one.spend(viewer, 10)


async def test_a_stop_gives_everything_back(settings: Settings, viewer: str) -> None:
    limited = settings.model_copy(update={"cost_limit": 100, "cost_restore_rate": SLOW})
    async with open_services(limited) as running:
        await running.services.budget.spend(viewer, 1)
    async with open_services(limited) as running:
        await running.services.budget.spend(viewer, 98)
