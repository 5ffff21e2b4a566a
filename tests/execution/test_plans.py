"""What is answered by a plan, and what is left to graphql-core; the answers are the same."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from tests.execution.both import Both, answer
from tests.execution.worlds import KEYS, World
from tiktok_accounts_gql.execution.engine import Reason
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.schema.build import create_schema

ACCOUNT, ACCOUNT_2 = (ids.encode(ids.NodeKind.ACCOUNT, key) for key in KEYS[:2])
EVENT, JOB, RESULT = (
    ids.encode(kind, KEYS[0]) for kind in (ids.NodeKind.AUDIT_EVENT, ids.NodeKind.SYNC_JOB, ids.NodeKind.SYNC_RESULT)
)
VIEWER = ids.encode(ids.NodeKind.VIEWER, "viewer")
OPERATIONS = Path(__file__).parents[2] / "operations"

# Query and variables. Each of them has a plan.
PLANNED: dict[str, tuple[str, dict[str, Any]]] = {
    "one field": ("{ viewer { id } }", {}),
    "a field of its own": ("{ __typename }", {}),
    "nothing, as everything is skipped": ("{ viewer @skip(if: true) { id } }", {}),
    "nothing of an object": ("{ viewer { id @include(if: false) } }", {}),
    "aliases": ("{ a: viewer { b: id c: id __typename d: __typename } b: viewer { id } }", {}),
    "an alias that is another field's name": ("{ viewer { id: userId userId: id } }", {}),
    "the same field twice": ("{ viewer { id } viewer { id userId } viewer { userId } }", {}),
    "merged below lists": ("{ accounts { edges { node { id } } edges { cursor node { username id } } } }", {}),
    "named fragments in each other": (
        (
            "{ accounts { ...A } } fragment A on AccountConnection { edges { ...B } ...C } "
            "fragment B on AccountEdge { node { id ...D } } fragment C on AccountConnection { pageInfo { endCursor } } "
            "fragment D on TikTokAccount { health { state } }"
        ),
        {},
    ),
    "inline fragments without a type": ("{ ... { viewer { ... @include(if: true) { id } } } }", {}),
    "a fragment that does not apply": (f'{{ node(id: "{VIEWER}") {{ ... on TikTokAccount {{ username }} }} }}', {}),
    "@skip and @include at once": (
        "query ($a: Boolean!, $b: Boolean!) { viewer { id @skip(if: $a) @include(if: $b) userId @include(if: $b) } }",
        {"a": False, "b": True},
    ),
    "a condition by its default": ("query ($a: Boolean = true) { viewer { id @skip(if: $a) userId } }", {}),
    "a condition on a spread": (
        "query ($a: Boolean!) { viewer { ...F @include(if: $a) id } } fragment F on Viewer { userId }",
        {"a": True},
    ),
    "an interface": (
        f'{{ node(id: "{ACCOUNT}") {{ __typename id ... on TikTokAccount {{ growth {{ since }} }} }} }}',
        {},
    ),
    "an interface of every kind": (
        (
            "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on Viewer { userId } ... on AuditEvent { action "
            "account { username } details { name value previousValue } } ... on SyncJob { progress results { edges { node "
            "{ error { code message field } account { id } } } } } ... on SyncResult { outcome account { displayName } } } }"
        ),
        {"ids": [ACCOUNT, EVENT, JOB, RESULT, VIEWER, ACCOUNT]},
    ),
    "a fragment on an interface": (
        f'{{ account(id: "{ACCOUNT}") {{ ...N }} }} fragment N on Node {{ id ... on Node {{ __typename }} }}',
        {},
    ),
    "null": (f'{{ node(id: "{ids.encode(ids.NodeKind.ACCOUNT, UUID(int=0))}") {{ id }} }}', {}),
    "null in a list": (
        "query ($i: [ID!]!) { nodes(ids: $i) { id } }",
        {"i": [VIEWER, ids.encode(ids.NodeKind.VIEWER, "x")]},
    ),
    "one value for a list": ("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": VIEWER}),
    "an empty list": ("{ nodes(ids: []) { id ... on TikTokAccount { growth(days: 3) { since } } } }", {}),
    "arguments under aliases": (
        f'{{ account(id: "{ACCOUNT}") {{ a: growth(days: 3) {{ since }} b: growth(days: 4) {{ since }} growth {{ since }} }} }}',
        {},
    ),
    "an enum as argument and value": (
        (
            f'query ($g: StatsGranularity! = HOUR) {{ account(id: "{ACCOUNT}") {{ status statsHistory(granularity: $g) '
            "{ recordedAt followerCount } } }"
        ),
        {},
    ),
    "a scalar as argument": (
        (
            f'query ($t: DateTime) {{ account(id: "{ACCOUNT}") {{ statsHistory(from: $t, to: "2026-01-01T00:00:00+02:00") '
            "{ recordedAt } } }"
        ),
        {"t": "2025-12-31T23:00:00Z"},
    ),
    "input objects": (
        (
            "query ($f: AccountFilter, $o: AccountOrder) { accounts(filter: $f, orderBy: $o) { totalCount } "
            "b: accounts(filter: { status: [ACTIVE] search: null }, orderBy: {}) { totalCount } }"
        ),
        {"f": {"status": ["ACTIVE", "EXPIRED"]}, "o": {"direction": "ASC"}},
    ),
    "a variable inside an input object": (
        "query ($s: String, $a: [AccountStatus!]) { accounts(filter: { search: $s, status: $a }) { totalCount } }",
        {"a": "ACTIVE"},
    ),
    "several loaders at several levels": (
        (
            "{ auditEvents { edges { node { account { growth { since } health { state } statsHistory { recordedAt } } } } } "
            "accounts { totalCount edges { node { growth { followerChange } } } } }"
        ),
        {},
    ),
    "several root fields": (
        (
            f'{{ accountsSummary {{ totalAccounts oldestSyncAt }} viewer {{ id }} account(id: "{ACCOUNT}") {{ id }} '
            "syncJobs { totalCount edges { node { state progress } } } }"
        ),
        {},
    ),
    "an unused variable of another operation's name": (
        "query A($x: Int = 3) { accounts(first: $x) { totalCount } }",
        {},
    ),
    "numbers where strings may be": ("query ($i: ID!) { node(id: $i) { id } viewer { id } }", {"i": ACCOUNT_2}),
}

LEFT: dict[str, tuple[str, dict[str, Any], Reason]] = {
    "introspection": ("{ __schema { queryType { name } } }", {}, Reason.NOT_PLANNABLE),
    "introspection of a type": ('{ __type(name: "Viewer") { name } viewer { id } }', {}, Reason.NOT_PLANNABLE),
    "a variable that is missing": ("query ($i: ID!) { node(id: $i) { id } }", {}, Reason.INPUT_REFUSED),
    "a variable of another type": (
        "query ($n: Int) { accounts(first: $n) { totalCount } }",
        {"n": "x"},
        Reason.INPUT_REFUSED,
    ),
    "null for an argument that has a default": (
        f'query ($d: Int = 3) {{ account(id: "{ACCOUNT}") {{ growth(days: $d) {{ since }} }} }}',
        {"d": None},
        Reason.INPUT_REFUSED,
    ),
    "a resolver that raises": (
        "{ accounts(first: 51) { edges { cursor } } viewer { id } }",
        {},
        Reason.RESOLVER_RAISED,
    ),
    "a resolver that raises where null must not be": (
        "{ accounts(first: 51) { totalCount } }",
        {},
        Reason.RESOLVER_RAISED,
    ),
}


@pytest.fixture(scope="module")
def both() -> Both:
    return Both(create_schema())


@pytest.mark.parametrize("batching", [True, False], ids=["batching", "at once"])
@pytest.mark.parametrize(("query", "variables"), PLANNED.values(), ids=PLANNED)
async def test_a_plan_answers_as_graphql_core_does(
    both: Both, query: str, variables: dict[str, Any], batching: bool
) -> None:
    both.seen.clear()
    for _ in range(2):  # the second time from what is remembered
        assert not await both.compare(query, variables, World(7, oddity=0), batching=batching)
    assert both.seen == {Reason.PLANNED: 2}


@pytest.mark.parametrize(("query", "variables", "reason"), LEFT.values(), ids=LEFT)
async def test_what_a_plan_cannot_answer_is_left_to_graphql_core(
    both: Both, query: str, variables: dict[str, Any], reason: Reason
) -> None:
    both.seen.clear()
    for _ in range(2):
        await both.compare(query, variables, World(7, oddity=0), batching=True)
    assert both.seen == {reason: 2}


@pytest.mark.parametrize("seed", range(40))
async def test_rows_that_break_promises_have_the_same_errors(both: Both, seed: int) -> None:
    query, variables = PLANNED["an interface of every kind"]
    await both.compare(query, variables, World(seed, oddity=0.1), batching=False)
    query, variables = PLANNED["several loaders at several levels"]
    await both.compare(query, variables, World(seed, oddity=0.1), batching=False)


async def test_null_for_a_condition_refuses_the_whole_operation(both: Both) -> None:
    query = "query ($a: Boolean = true) { viewer { id @skip(if: $a) } }"
    assert await both.compare(query, {"a": None}, World(7, oddity=0), batching=True)


async def test_no_resolver_that_is_awaited_runs_twice(both: Both) -> None:
    below = "totalCount edges { node { growth { since } username } }"
    query = f'{{ accounts {{ {below} }} account(id: "{ACCOUNT}") {{ id }} }}'
    reasons = Counter[Reason]()
    for seed in range(40):
        world = World(seed, oddity=0.2)
        both.seen.clear()
        await answer(both.planned, query, None, world.context(batching=True))
        assert max(Counter(world.calls).values()) == 1
        reasons += both.seen
    assert {Reason.PLANNED, Reason.RESOLVER_RAISED, Reason.UNEXPECTED_VALUE} == set(reasons)


async def test_loaders_batch_what_is_asked_at_the_same_time(both: Both) -> None:
    query = "query ($i: [ID!]!) { a: nodes(ids: $i) { ...G } b: nodes(ids: $i) { ...G } } "
    query += "fragment G on TikTokAccount { growth { since } }"
    context = World(1, oddity=0).context(batching=True)
    loader, batches = context.loaders.growth(7), []
    load = loader.batch_load_fn

    async def spy(keys: list[Any]) -> Any:
        batches.append(len(keys))
        return await load(keys)

    loader.batch_load_fn = spy
    variables = {"i": [ACCOUNT, ACCOUNT_2]}
    assert isinstance(await answer(both.planned, query, variables, context), bytes)
    assert batches == [2]


@pytest.mark.parametrize("text", [file.read_text() for file in sorted(OPERATIONS.glob("*.graphql"))])
async def test_a_saved_query_has_a_plan_and_a_mutation_has_none(both: Both, text: str) -> None:
    inputs = {"id": "x", "ids": ["x"], "input": {"id": "x"} if "AccountInput" in text else {}}
    costed = await both.planned.cost(await both.planned.prepare(text, None), inputs)
    assert costed.request is not None
    assert (costed.request.plan is None) == ("mutation" in text)


async def test_what_resolvers_do_to_their_arguments_is_not_remembered() -> None:
    both = Both(create_schema())
    query = "query ($f: AccountFilter) { accounts(filter: $f) { edges { cursor } } }"
    world, asked = World(1, oddity=0), []
    services = world.services()
    list_accounts = services.accounts.list

    async def spoil(viewer: Any, page: Any, where: Any, *others: Any) -> Any:
        asked.append(where)
        return await list_accounts(viewer, page, where, *others)

    services.accounts.list = spoil
    for _ in range(3):
        variables = {"f": {"status": ["ACTIVE"]}}
        context = world.context(batching=True, services=services)
        await answer(both.planned, query, variables, context)
        variables["f"]["status"].append("INACTIVE")
    assert [where.statuses for where in asked] == [("ACTIVE",)] * 3
    assert both.seen == {Reason.PLANNED: 3}


async def test_requests_at_the_same_time_do_not_meet(both: Both) -> None:
    query = "query ($i: [ID!]!) { nodes(ids: $i) { id ... on TikTokAccount { growth { since } } } }"
    world = World(3, oddity=0)
    asked = [[ACCOUNT], [ACCOUNT_2, VIEWER], [], [JOB]] * 5
    engine = both.planned
    answers = await asyncio.gather(*[answer(engine, query, {"i": one}, world.context(batching=True)) for one in asked])
    for wanted, given in zip(asked, answers, strict=True):
        assert isinstance(given, bytes)
        assert [node["id"] for node in orjson.loads(given)["data"]["nodes"]] == wanted
