"""Differential testing: an operation is executed by its plan and by graphql-core, and the answers are compared."""

from collections import Counter
from typing import Any

import orjson
from graphql import ExecutionResult, GraphQLSchema

from tests.execution.fake_services import FakeServices
from tiktok_accounts_gql.execution.document_cache import DocumentCache
from tiktok_accounts_gql.execution.engine import Engine, ExecutionReason
from tiktok_accounts_gql.execution.limits import Limits

NULL = b'{"data":null}'


async def execute_query(
    engine: Engine, query: str, variables: dict[str, Any] | None, context: Any
) -> ExecutionResult | bytes:
    """Prepare, cost and execute an operation, as the endpoint does."""
    return await engine.execute(await engine.cost(await engine.prepare(query, None), variables), context)


class DifferentialTester:
    """`reasons` counts what answered the compiled engine's operations; the reference is graphql-core alone."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.reasons: Counter[ExecutionReason] = Counter()
        self.compiled = Engine(schema, new_document_cache(schema), hide_suggestions=False, count=self._count)
        self._reference = Engine(schema, new_document_cache(schema), hide_suggestions=False, compiled=False)

    def _count(self, reason: ExecutionReason) -> None:
        self.reasons[reason] += 1

    async def compare(
        self, query: str, variables: dict[str, Any] | None, services: FakeServices, *, batching: bool
    ) -> list[str]:
        """Return the errors of both answers. Raise AssertionError if the answers differ.

        If all data is null, graphql-core reports the errors that it met before it was, which is a matter of time.
        """
        answers = []
        for engine in (self._reference, self.compiled):
            context = services.new_context(batching=batching)
            answers.append(_to_comparable(await execute_query(engine, query, variables, context)))
        (data, errors), (compiled_data, compiled_errors) = answers
        message = f"{query}\n{variables}\n{answers[0]}\n{answers[1]}"
        assert data == compiled_data, message
        assert errors == compiled_errors or (data == NULL and errors and compiled_errors), message
        return errors


def new_document_cache(schema: GraphQLSchema) -> DocumentCache:
    return DocumentCache(schema, Limits(), introspection=True, hide_suggestions=False)


def _to_comparable(result: ExecutionResult | bytes) -> tuple[bytes, list[str]]:
    """Return the data as the bytes that are sent, and the errors, sorted because their order means nothing."""
    if isinstance(result, bytes):
        return result, []
    errors = [error.formatted for error in result.errors or ()]
    return orjson.dumps({"data": result.data}), sorted(repr(error) for error in errors)
