"""Starts subscriptions, for all three transports: WebSocket, server-sent events and multipart."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
from graphql import ExecutionResult

from tiktok_accounts_gql.execution.engine import Engine, PreparedOperation
from tiktok_accounts_gql.resolvers.context import Context
from tiktok_accounts_gql.tasks import cancel_and_wait
from tiktok_accounts_gql.web import responses
from tiktok_accounts_gql.web.caller import Caller
from tiktok_accounts_gql.web.graphql_requests import GraphQLRequest
from tiktok_accounts_gql.web.refused_operations import record_refusals

Payload = bytes  # JSON
Results = AsyncGenerator[ExecutionResult]

EXPIRED = "The bearer token has expired."
STOPPING = "The server is about to stop. Connect again."


async def subscribe(
    engine: Engine, prepared: PreparedOperation, request: GraphQLRequest, caller: Caller
) -> ExecutionResult | AsyncGenerator[Payload]:
    """Return a payload for each event, or the result with the errors that refuse the subscription.

    Raises LimitExceeded and BudgetExhausted.
    """
    costed = await engine.cost(prepared, request.variables)

    async def new_context() -> Context:
        """Pay for an event: each costs as much as the operation."""
        await caller.services.budget.spend(caller.viewer.id, costed.points)
        return caller.new_context(costed.points)

    results = await engine.subscribe(costed, new_context)
    if isinstance(results, ExecutionResult):
        await record_refusals(prepared, results, caller)
        return results
    return _stream_payloads(results, caller.request_id, costed.points)


async def _stream_payloads(results: Results, request_id: str, points: int) -> AsyncGenerator[Payload]:
    """Yield the payloads. A failure ends the stream: after an event that is too large the next one would be no smaller."""
    async with aclosing(results):
        try:
            async for result in results:
                yield responses.event_payload(result, request_id, points)
        except Exception as error:  # noqa: BLE001 - the last place where it can become a response
            yield orjson.dumps(responses.stream_error_payload(error, request_id))


async def wait_for_event(event: asyncio.Event, task: "asyncio.Task[Any]", *, timeout_seconds: float) -> None:
    """Return when the event is set, the task is done or the time is over. The task goes on."""
    waiter = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((waiter, task), timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_and_wait(waiter)
