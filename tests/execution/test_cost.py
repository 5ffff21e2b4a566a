"""The cost of an operation is computed before anything of it runs, and limited."""

import gc
import json
import re
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type, is_leaf_type

from tests.execution.differential import execute_query, new_document_cache
from tests.execution.fake_services import FakeServices
from tiktok_accounts_gql.errors import LimitExceeded
from tiktok_accounts_gql.execution.cost import MAX_POINTS, get_field_cost, is_connection, is_list
from tiktok_accounts_gql.execution.document_cache import DocumentCache
from tiktok_accounts_gql.execution.engine import Engine
from tiktok_accounts_gql.execution.limits import Limits
from tiktok_accounts_gql.schema.build import create_schema

OPERATIONS = Path(__file__).parents[2] / "operations"
SCHEMA = create_schema()


@pytest.fixture(params=[True, False], ids=["compiled", "graphql-core"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(SCHEMA, new_document_cache(SCHEMA), hide_suggestions=False, compiled=request.param)


async def compute_points(engine: Engine, query: str, variables: dict[str, Any] | None = None) -> int:
    return (await engine.cost(await engine.prepare(query, None), variables)).points


EXACT = {
    "a type name": ("{ __typename }", {}, 1),
    # 50 for the statement, 20 edges, 20 nodes, 20 ids, 20 for what each edge is
    "a page of the default size": ("{ accounts { edges { node { id } } } }", {}, 3),
    "a page of a literal size": ("{ accounts(first: 50) { edges { node { id } } } }", {}, 5),
    "a page of a variable size": ("query ($n: Int) { accounts(first: $n) { edges { node { id } } } }", {"n": 50}, 5),
    "a variable's default": ("query ($n: Int = 50) { accounts(first: $n) { edges { node { id } } } }", {}, 5),
    "a page from the end": ("{ accounts(last: 50) { edges { node { id } } } }", {}, 5),
    "a page that is refused": ("{ accounts(first: 2000000000) { edges { node { id } } } }", {}, 5),
    "a page of no accounts": ("{ accounts(first: 0) { edges { node { id } } } }", {}, 2),
    "a skipped field": (
        "query ($l: Boolean!) { accounts(first: 50) @skip(if: $l) { edges { node { id } } } }",
        {"l": True},
        1,
    ),
    "a fragment": ("{ accounts(first: 50) { ...P } } fragment P on AccountConnection { edges { node { id } } }", {}, 5),
    "merged fields": ("{ accounts(first: 50) { edges { node { id } } } accounts(first: 50) { edges { node { id } } } }", {}, 5),
    "aliases": ("{ a: accounts(first: 50) { edges { node { id } } } b: accounts(first: 50) { edges { node { id } } } }", {}, 9),
    "several ids": ("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": ["x"] * 50}, 6),
    "a mutation": ('mutation { syncAccount(input: { id: "x" }) { success } }', {}, 11),
    "an event": ("subscription { accountChanged { accountId } }", {}, 2),
}  # fmt: skip


@pytest.mark.parametrize(("query", "variables", "expected"), EXACT.values(), ids=EXACT)
async def test_an_operation_costs(engine: Engine, query: str, variables: dict[str, Any], expected: int) -> None:
    for _ in range(2):  # the second time with cached variables
        assert await compute_points(engine, query, variables) == expected


async def test_the_most_expensive_possible_type_counts(engine: Engine) -> None:
    cheap = '{ node(id: "x") { ... on Viewer { userId } } }'
    both = '{ node(id: "x") { ... on Viewer { userId } ... on SyncJob { results(first: 50) { edges { cursor } } } } }'
    assert await compute_points(engine, both) > await compute_points(engine, cheap)


HISTORY = "{ accounts(first: 50) { edges { node { statsHistory(%s) { followerCount } } } } }"


@pytest.mark.parametrize(
    ("arguments", "length"),
    [
        ("", 32),
        ("granularity: HOUR", 170),
        ('from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z", granularity: HOUR', 26),
        ('from: "2020-01-01T00:00:00Z"', 400),
        ('from: "2026-01-02T00:00:00Z", to: "2026-01-01T00:00:00Z"', 0),
    ],
    ids=["30 days", "7 days by the hour", "a day by the hour", "the maximum", "backwards"],
)
async def test_a_history_costs_by_its_maximal_length(engine: Engine, arguments: str, length: int) -> None:
    query = HISTORY % arguments if arguments else HISTORY.replace("(%s)", "")
    assert abs(await compute_points(engine, query) * 50 - 50 * (2 * length + 12)) < 150


COUNTERS = "recordedAt followerCount followingCount likesCount videoCount"
REFUSED = {
    "histories under aliases": "{ accounts(first: 50) { edges { node { "
    + " ".join(f"h{n}: statsHistory(granularity: HOUR) {{ {COUNTERS} }}" for n in range(2))
    + " } } } }",
    "jobs with results with histories": "{ syncJobs(first: 50) { edges { node { results(first: 50) { edges { node { "
    "account { statsHistory { followerCount } } } } } } } } }",
    "many jobs at once": "mutation { "
    + " ".join(f'j{n}: syncAccounts(input: {{ target: {{ ids: ["x"] }} }}) {{ job {{ id }} }}' for n in range(11))
    + " }",
    "a payload's lists": 'mutation { syncAccount(input: { id: "x" }) { query { accounts(first: 50) { edges { node { '
    f"statsHistory(granularity: HOUR) {{ {COUNTERS} }} }} }} }} }} }} }}",
    "an event": "subscription { accountChanged { account { "
    + " ".join(f'h{n}: statsHistory(from: "202{n % 6}-01-01T00:00:00Z") {{ {COUNTERS} }}' for n in range(30))
    + "} } }",
}


@pytest.mark.parametrize("query", REFUSED.values(), ids=REFUSED)
async def test_an_operation_that_costs_too_much_is_refused_before_anything_runs(engine: Engine, query: str) -> None:
    with pytest.raises(LimitExceeded, match=rf"can cost \d+ points; {MAX_POINTS} are allowed"):
        await compute_points(engine, query)


STATUSES = "query ($s: [AccountStatus!]) { accounts(filter: { status: $s }) { totalCount } }"
FILTER = "query ($f: AccountFilter) { accounts(filter: $f) { totalCount } }"
LISTS: dict[str, tuple[str, dict[str, Any]]] = {
    "enum values": (STATUSES, {"s": ["ACTIVE"] * 51}),
    "enum values in an object": (FILTER, {"f": {"status": ["ACTIVE"] * 51}}),
    "null for enum values": (FILTER, {"f": {"health": [None] * 6000}}),
    "ids": ("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": ["x"] * 1001}),
    "ids in objects": (
        "mutation ($i: SyncAccountsInput!) { syncAccounts(input: $i) { job { id } } }",
        {"i": {"target": {"ids": ["x"] * 1001}}},
    ),
}


@pytest.mark.parametrize(("query", "variables"), LISTS.values(), ids=LISTS)
async def test_long_lists_in_variables_are_refused(engine: Engine, query: str, variables: dict[str, Any]) -> None:
    with pytest.raises(LimitExceeded, match="items; "):
        await compute_points(engine, query, variables)


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("query ($n: Int) { accounts(first: $n) { totalCount } }", {"n": "x"}),
        ("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": None}),
        ("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": {"a": []}}),
        ("query ($f: AccountFilter) { accounts(filter: $f) { totalCount } }", {"f": [1, 2]}),
        ("query ($f: AccountFilter) { accounts(filter: $f) { totalCount } }", {"f": {"status": {"x": 1}}}),
    ],
    ids=["a text for a number", "null for a list", "an object for a list", "a list for an object", "nested"],
)
async def test_variables_of_another_kind_are_left_to_graphql_core(
    engine: Engine, query: str, variables: dict[str, Any]
) -> None:
    result: Any = await execute_query(
        engine, query, variables, FakeServices(7, invalid_rate=0).new_context(batching=True)
    )
    assert result.data is None
    assert result.errors


def list_saved_operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(OPERATIONS.glob("*.graphql")):
        text = file.read_text()
        variables = re.search(r"# Variables: (.*)", text)
        yield text, json.loads(variables[1]) if variables else {}


@pytest.mark.parametrize(("query", "variables"), list(list_saved_operations()))
async def test_every_saved_operation_costs_far_less_than_the_maximum(
    engine: Engine, query: str, variables: dict[str, Any]
) -> None:
    assert await compute_points(engine, query, variables) < MAX_POINTS / 20


async def test_a_dashboards_largest_page_is_allowed(engine: Engine) -> None:
    account: Any = SCHEMA.type_map["TikTokAccount"]
    leaves = [name for name, field in account.fields.items() if is_leaf_type(get_named_type(field.type))]
    page = f"""{{ accounts(first: 50) {{ totalCount pageInfo {{ hasNextPage endCursor }} edges {{ cursor node {{
        {" ".join(leaves)}
        health {{ state reason since action nextRetryAt consecutiveFailures }}
        growth {{ since followerChange followerChangeRate likesChange videoChange }}
        statsHistory {{ recordedAt followerCount followingCount likesCount videoCount }} }} }} }} }}"""
    assert 0 < await compute_points(engine, page) < MAX_POINTS / 2


def list_object_lists() -> Iterator[tuple[str, Any]]:
    for type_ in SCHEMA.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name, field in type_.fields.items():
                named = get_named_type(field.type)
                if is_connection(named) or (is_list(field) and not is_leaf_type(named) and name != "edges"):
                    yield f"{type_.name}.{name}", field


@pytest.mark.parametrize(
    "field", [field for _, field in list_object_lists()], ids=[name for name, _ in list_object_lists()]
)
def test_every_list_of_objects_declares_how_long_it_can_be(field: Any) -> None:
    assert get_field_cost(field).size is not None


async def test_evicted_documents_are_freed_without_a_full_garbage_collection() -> None:
    documents = DocumentCache(SCHEMA, Limits(), introspection=True, hide_suggestions=False, size=1)
    engine = Engine(SCHEMA, documents, hide_suggestions=False)
    gc.collect()
    gc.disable()
    try:
        references = [await _execute_and_reference(engine, number) for number in range(3)]
        evicted = [reference for of_document in references[:2] for reference in of_document]
        gc.collect(0)  # as after each new document
        assert not any(reference() for reference in evicted)
    finally:
        gc.enable()


async def _execute_and_reference(engine: Engine, number: int) -> list[Any]:
    """Return weak references to the document, the operation and the plan of a new query."""
    query = f"query ($n: Int) {{ a{number}: accounts(first: $n) {{ edges {{ node {{ id ... on Node {{ id }} }} }} }} }}"
    costed = await engine.cost(await engine.prepare(query, None), {"n": number})
    assert costed.bound is not None
    return [weakref.ref(value) for value in (costed.prepared.document, costed.prepared.cached, costed.bound.plan)]
