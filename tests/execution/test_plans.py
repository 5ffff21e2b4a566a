"""Which queries a plan answers, and which are left to graphql-core; the answers are the same."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.execution.differential import DifferentialTester, execute_query
from tests.execution.fake_services import FakeServices
from tests.execution.plan_cases import ACCOUNT, ACCOUNT_2, FALLBACK, JOB, PLANNED, VIEWER
from tiktok_accounts_gql.execution.engine import ExecutionReason
from tiktok_accounts_gql.schema.build import create_schema

OPERATIONS = Path(__file__).parents[2] / "operations"


@pytest.fixture(scope="module")
def tester() -> DifferentialTester:
    return DifferentialTester(create_schema())


@pytest.mark.parametrize("batching", [True, False], ids=["batching", "at once"])
@pytest.mark.parametrize(("query", "variables"), PLANNED.values(), ids=PLANNED)
async def test_a_plan_answers_as_graphql_core_does(
    tester: DifferentialTester, query: str, variables: dict[str, Any], batching: bool
) -> None:
    tester.reasons.clear()
    for _ in range(2):  # the second time with cached variables
        assert not await tester.compare(query, variables, FakeServices(7, invalid_rate=0), batching=batching)
    assert tester.reasons == {ExecutionReason.PLANNED: 2}


@pytest.mark.parametrize(("query", "variables", "reason"), FALLBACK.values(), ids=FALLBACK)
async def test_what_a_plan_cannot_answer_is_left_to_graphql_core(
    tester: DifferentialTester, query: str, variables: dict[str, Any], reason: ExecutionReason
) -> None:
    tester.reasons.clear()
    for _ in range(2):
        await tester.compare(query, variables, FakeServices(7, invalid_rate=0), batching=True)
    assert tester.reasons == {reason: 2}


@pytest.mark.parametrize("seed", range(40))
async def test_invalid_rows_have_the_same_errors(tester: DifferentialTester, seed: int) -> None:
    query, variables = PLANNED["an interface of every kind"]
    await tester.compare(query, variables, FakeServices(seed, invalid_rate=0.1), batching=False)
    query, variables = PLANNED["several loaders at several levels"]
    await tester.compare(query, variables, FakeServices(seed, invalid_rate=0.1), batching=False)


async def test_null_for_a_condition_refuses_the_whole_operation(tester: DifferentialTester) -> None:
    query = "query ($a: Boolean = true) { viewer { id @skip(if: $a) } }"
    assert await tester.compare(query, {"a": None}, FakeServices(7, invalid_rate=0), batching=True)


async def test_no_resolver_that_is_awaited_runs_twice(tester: DifferentialTester) -> None:
    below = "totalCount edges { node { growth { since } username } }"
    query = f'{{ accounts {{ {below} }} account(id: "{ACCOUNT}") {{ id }} }}'
    reasons = Counter[ExecutionReason]()
    for seed in range(40):
        services = FakeServices(seed, invalid_rate=0.2)
        tester.reasons.clear()
        await execute_query(tester.compiled, query, None, services.new_context(batching=True))
        assert max(Counter(services.calls).values()) == 1
        reasons += tester.reasons
    assert {ExecutionReason.PLANNED, ExecutionReason.RESOLVER_RAISED, ExecutionReason.UNEXPECTED_VALUE} == set(reasons)


async def test_loaders_batch_what_is_loaded_concurrently(tester: DifferentialTester) -> None:
    query = "query ($i: [ID!]!) { a: nodes(ids: $i) { ...G } b: nodes(ids: $i) { ...G } } "
    query += "fragment G on TikTokAccount { growth { since } }"
    context = FakeServices(1, invalid_rate=0).new_context(batching=True)
    loader, batches = context.loaders.growth(7), []
    load = loader.batch_load_fn

    async def load_recorded(keys: list[Any]) -> Any:
        batches.append(len(keys))
        return await load(keys)

    loader.batch_load_fn = load_recorded
    variables = {"i": [ACCOUNT, ACCOUNT_2]}
    assert isinstance(await execute_query(tester.compiled, query, variables, context), bytes)
    assert batches == [2]


@pytest.mark.parametrize("text", [file.read_text() for file in sorted(OPERATIONS.glob("*.graphql"))])
async def test_a_saved_query_has_a_plan_and_a_mutation_has_none(tester: DifferentialTester, text: str) -> None:
    inputs = {"id": "x", "ids": ["x"], "input": {"id": "x"} if "AccountInput" in text else {}}
    costed = await tester.compiled.cost(await tester.compiled.prepare(text, None), inputs)
    assert costed.bound is not None
    assert (costed.bound.plan is None) == ("mutation" in text)


async def test_resolvers_may_change_their_arguments_without_an_effect_on_later_requests() -> None:
    tester = DifferentialTester(create_schema())
    query = "query ($f: AccountFilter) { accounts(filter: $f) { edges { cursor } } }"
    fake_services, filters = FakeServices(1, invalid_rate=0), []
    services = fake_services.build()
    list_accounts = services.accounts.list

    async def list_recorded(viewer: Any, page: Any, filter_: Any, *arguments: Any) -> Any:
        filters.append(filter_)
        return await list_accounts(viewer, page, filter_, *arguments)

    services.accounts.list = list_recorded
    for _ in range(3):
        variables = {"f": {"status": ["ACTIVE"]}}
        context = fake_services.new_context(batching=True, services=services)
        await execute_query(tester.compiled, query, variables, context)
        variables["f"]["status"].append("INACTIVE")
    assert [filter_.statuses for filter_ in filters] == [("ACTIVE",)] * 3
    assert tester.reasons == {ExecutionReason.PLANNED: 3}


async def test_concurrent_requests_do_not_share_values(tester: DifferentialTester) -> None:
    query = "query ($i: [ID!]!) { nodes(ids: $i) { id ... on TikTokAccount { growth { since } } } }"
    services = FakeServices(3, invalid_rate=0)
    batches = [[ACCOUNT], [ACCOUNT_2, VIEWER], [], [JOB]] * 5
    engine = tester.compiled
    answers = await asyncio.gather(
        *[execute_query(engine, query, {"i": ids}, services.new_context(batching=True)) for ids in batches]
    )
    for ids, answer in zip(batches, answers, strict=True):
        assert isinstance(answer, bytes)
        assert [node["id"] for node in orjson.loads(answer)["data"]["nodes"]] == ids
