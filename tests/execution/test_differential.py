"""A plan answers as graphql-core does, data and errors, for any operation and any rows.

Operations are generated from the schema (hypothesis-graphql), with variables. The rows are those of `fake_services.py`,
many of which break the schema's promises.
"""

import asyncio
import os
from random import Random

import pytest
from graphql import DocumentNode
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes, queries

from tests.execution.differential import DifferentialTester
from tests.execution.fake_services import FakeServices
from tests.execution.query_variations import vary_query
from tiktok_accounts_gql.execution.engine import ExecutionReason
from tiktok_accounts_gql.schema.build import create_schema

OPERATIONS = int(os.environ.get("TEST_OPERATIONS", "500"))
VARIATIONS = 16  # of each generated operation, because generating takes most of the time
INVALID_RATES = [0, 0.02, 0.1]
TIMES = ["2026-01-01T00:00:00Z", "2026-02-01T01:00:00+01:00", "yesterday"]

SCALARS = {
    "BigInt": st.integers(-5, 5).map(nodes.Int),
    "DateTime": st.sampled_from(TIMES).map(nodes.String),
}


@pytest.mark.untraced
def test_generated_operations_have_the_same_answers() -> None:
    schema = create_schema()
    tester = DifferentialTester(schema)
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
                query, variables = vary_query(schema, document, Random(seed + number))
                invalid_rate = INVALID_RATES[number % len(INVALID_RATES)]
                services = FakeServices(seed + number, invalid_rate)
                runner.run(tester.compare(query, variables, services, batching=not invalid_rate))

        compare()
    reasons = tester.reasons
    assert reasons[ExecutionReason.PLAN_FAILED] == reasons[ExecutionReason.NOT_PLANNABLE] == 0
    assert reasons[ExecutionReason.PLANNED] > OPERATIONS // 3
    assert reasons[ExecutionReason.UNEXPECTED_VALUE] + reasons[ExecutionReason.RESOLVER_RAISED] > OPERATIONS // 20
