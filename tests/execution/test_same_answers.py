"""A plan answers as graphql-core does, data and errors, whatever the operation and whatever the rows.

Operations come from the schema (hypothesis-graphql), variables with them; rows come from `worlds.py`, and many of them
break the schema's promises.
"""

import asyncio
import os
from collections import Counter
from random import Random
from typing import Any

import orjson
from graphql import DocumentNode, ExecutionResult, GraphQLSchema
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes, queries

from tests.execution.varied import vary
from tests.execution.worlds import World
from tiktok_accounts_gql.execution.engine import Engine, Reason
from tiktok_accounts_gql.execution.limits import Documents, Limits
from tiktok_accounts_gql.schema.build import create_schema

OPERATIONS = int(os.environ.get("TEST_OPERATIONS", "2000"))
VARIATIONS = 10  # of what hypothesis generates, which takes most of the time
TIMES = ["2026-01-01T00:00:00Z", "2026-02-01T01:00:00+01:00", "yesterday"]

SCALARS = {
    "BigInt": st.integers(-5, 5).map(nodes.Int),
    "DateTime": st.sampled_from(TIMES).map(nodes.String),
}


class Both:
    """The two ways to execute, and which of them it was."""

    def __init__(self, schema: GraphQLSchema) -> None:
        documents = Documents(schema, Limits(), introspection=False, hide_suggestions=False)
        self.seen: Counter[Reason] = Counter()
        self._planned = Engine(schema, documents, hide_suggestions=False, count=self._count)
        self._judge = Engine(schema, documents, hide_suggestions=False, compiled=False)

    def _count(self, reason: Reason) -> None:
        self.seen[reason] += 1

    async def compare(self, query: str, variables: dict[str, Any], world: World, *, batching: bool) -> None:
        """Raises AssertionError."""
        answers = []
        for engine in (self._judge, self._planned):
            context = world.context(batching=batching)
            answers.append(_comparable(await engine.execute(engine.prepare(query, None), variables, context)))
        assert answers[0] == answers[1], f"{query}\n{variables}\n{answers[0]}\n{answers[1]}"


def _comparable(result: ExecutionResult | bytes) -> tuple[bytes, list[str]]:
    """Data as the bytes that are sent, and errors; their order means nothing."""
    if isinstance(result, bytes):
        return result, []
    errors = [error.formatted for error in result.errors or ()]
    return orjson.dumps({"data": result.data}), sorted(repr(error) for error in errors)


def test_generated_operations_have_the_same_answers() -> None:
    schema = create_schema()
    both = Both(schema)
    print_nothing = queries(schema, custom_scalars=SCALARS, print_ast=lambda document: document, allow_x00=False)
    with asyncio.Runner() as runner:

        @settings(
            max_examples=OPERATIONS // VARIATIONS,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(print_nothing, st.integers(0, 2**32))
        def compare(document: DocumentNode, seed: int) -> None:
            for number in range(VARIATIONS):
                query, variables = vary(schema, document, Random(seed + number))
                oddity = [0, 0.02, 0.1][number % 3]
                world = World(seed + number, oddity=oddity)
                runner.run(both.compare(query, variables, world, batching=not oddity))

        compare()
    assert both.seen[Reason.PLAN_FAILED] == 0
    assert both.seen[Reason.PLANNED] > OPERATIONS // 3, both.seen
