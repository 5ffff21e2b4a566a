"""One schema, two ways to execute."""

from collections import Counter
from typing import Any

import orjson
from graphql import ExecutionResult, GraphQLSchema

from tests.execution.worlds import World
from tiktok_accounts_gql.execution.engine import Engine, Reason
from tiktok_accounts_gql.execution.limits import Documents, Limits

NULL = b'{"data":null}'


async def answer(engine: Engine, query: str, variables: dict[str, Any] | None, context: Any) -> ExecutionResult | bytes:
    """As the endpoint asks."""
    return await engine.execute(await engine.cost(await engine.prepare(query, None), variables), context)


class Both:
    """By plans, and by graphql-core, which is the judge; `seen` tells what answered the first of the two."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.seen: Counter[Reason] = Counter()
        self.planned = Engine(schema, _documents(schema), hide_suggestions=False, count=self._count)
        self._judge = Engine(schema, _documents(schema), hide_suggestions=False, compiled=False)

    def _count(self, reason: Reason) -> None:
        self.seen[reason] += 1

    async def compare(self, query: str, variables: dict[str, Any] | None, world: World, *, batching: bool) -> list[str]:
        """The errors of both. Raises AssertionError.

        When everything is null, graphql-core tells the errors that it met before it was: that is a matter of time.
        """
        answers = []
        for engine in (self._judge, self.planned):
            context = world.context(batching=batching)
            answers.append(_comparable(await answer(engine, query, variables, context)))
        (data, errors), (planned_data, planned_errors) = answers
        told = f"{query}\n{variables}\n{answers[0]}\n{answers[1]}"
        assert data == planned_data, told
        assert errors == planned_errors or (data == NULL and errors and planned_errors), told
        return errors


def _documents(schema: GraphQLSchema) -> Documents:
    return Documents(schema, Limits(), introspection=True, hide_suggestions=False)


def _comparable(result: ExecutionResult | bytes) -> tuple[bytes, list[str]]:
    """Data as the bytes that are sent, and errors; their order means nothing."""
    if isinstance(result, bytes):
        return result, []
    errors = [error.formatted for error in result.errors or ()]
    return orjson.dumps({"data": result.data}), sorted(repr(error) for error in errors)
