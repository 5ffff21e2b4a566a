"""Subscriptions, whichever way they are asked for: what is checked before, and what goes back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
from graphql import ExecutionResult

from tiktok_accounts_gql.execution.engine import Engine, PreparedOperation
from tiktok_accounts_gql.resolvers.context import Context
from tiktok_accounts_gql.tasks import cancel_and_wait
from tiktok_accounts_gql.web import answers
from tiktok_accounts_gql.web.caller import Caller
from tiktok_accounts_gql.web.refusals import record_refusals
from tiktok_accounts_gql.web.requests import GraphQLRequest

Payload = bytes  # JSON
Results = AsyncGenerator[ExecutionResult]

EXPIRED = "The bearer token has expired."
STOPPING = "The server is about to stop. Connect again."


async def subscribe(
    engine: Engine, prepared: PreparedOperation, asked: GraphQLRequest, caller: Caller
) -> ExecutionResult | AsyncGenerator[Payload]:
    """Payloads, one for each event; or the result that refuses the subscription. Raises LimitExceeded, BudgetExhausted."""
    costed = await engine.cost(prepared, asked.variables)

    async def new_context() -> Context:
        """Each event costs as much."""
        await caller.services.budget.spend(caller.viewer.id, costed.points)
        return caller.new_context(costed.points)

    results = await engine.subscribe(costed, new_context)
    if isinstance(results, ExecutionResult):
        await record_refusals(prepared, results, caller)
        return results
    return _payloads(results, caller.request_id, costed.points)


async def _payloads(results: Results, request_id: str, points: int) -> AsyncGenerator[Payload]:
    """An event that cannot be told, because it is too large for one, is the last: the next one would be no smaller."""
    async with aclosing(results):
        try:
            async for result in results:
                yield answers.event(result, request_id, points)
        except Exception as error:  # noqa: BLE001 - the last place where it can become an answer
            yield orjson.dumps(answers.broken_off(error, request_id))


async def happens(event: asyncio.Event, task: "asyncio.Task[Any]", *, within: float) -> None:
    """Returns when one of the two is done, or the time is over. Neither ends by it."""
    happening = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((happening, task), timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_and_wait(happening)
