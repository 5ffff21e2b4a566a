"""A plan answers as graphql-core does, data and errors, whatever the operation and whatever the rows.

Operations come from the schema (hypothesis-graphql), variables with them; rows come from `worlds.py`, and many of them
break the schema's promises.
"""

import asyncio
import os
from random import Random

import pytest
from graphql import DocumentNode
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes, queries

from tests.execution.both import Both
from tests.execution.varied import vary
from tests.execution.worlds import World
from tiktok_accounts_gql.execution.engine import Reason
from tiktok_accounts_gql.schema.build import create_schema

OPERATIONS = int(os.environ.get("TEST_OPERATIONS", "500"))
VARIATIONS = 16  # of what hypothesis generates, which takes most of the time
TIMES = ["2026-01-01T00:00:00Z", "2026-02-01T01:00:00+01:00", "yesterday"]

SCALARS = {
    "BigInt": st.integers(-5, 5).map(nodes.Int),
    "DateTime": st.sampled_from(TIMES).map(nodes.String),
}


@pytest.mark.untraced
def test_generated_operations_have_the_same_answers() -> None:
    schema = create_schema()
    both = Both(schema)
    documents = queries(schema, custom_scalars=SCALARS, print_ast=lambda document: document, allow_x00=False)
    with asyncio.Runner() as runner:

        @settings(
            max_examples=OPERATIONS // VARIATIONS,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(documents, st.integers(0, 2**32))
        def compare(document: DocumentNode, seed: int) -> None:
            for number in range(VARIATIONS):
                query, variables = vary(schema, document, Random(seed + number))
                oddity = [0, 0.02, 0.1][number % 3]
                world = World(seed + number, oddity=oddity)
                runner.run(both.compare(query, variables, world, batching=not oddity))

        compare()
    assert both.seen[Reason.PLAN_FAILED] == both.seen[Reason.NOT_PLANNABLE] == 0
    assert both.seen[Reason.PLANNED] > OPERATIONS // 3
    assert both.seen[Reason.UNEXPECTED_VALUE] + both.seen[Reason.RESOLVER_RAISED] > OPERATIONS // 20
