"""The GraphQL endpoint over HTTP."""

from dataclasses import dataclass

from graphql import ExecutionResult, OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tiktok_accounts_gql.errors import ErrorCode, RequestError
from tiktok_accounts_gql.execution.engine import Engine, PreparedOperation
from tiktok_accounts_gql.web import multipart, responses, server_sent_events
from tiktok_accounts_gql.web.caller import Caller, authenticate_caller
from tiktok_accounts_gql.web.framing import frame_response
from tiktok_accounts_gql.web.graphiql.page import Explorer
from tiktok_accounts_gql.web.graphql_requests import (
    GraphQLRequest,
    MethodNotAllowed,
    NotAcceptable,
    StreamNotAcceptable,
    read_request,
)
from tiktok_accounts_gql.web.list_cache import ListCache
from tiktok_accounts_gql.web.media_types import EVENTS, AcceptedTypes, negotiate, prefers_html
from tiktok_accounts_gql.web.middleware import add_log_field, request_id
from tiktok_accounts_gql.web.multipart import SubscriptionResponse
from tiktok_accounts_gql.web.persisted_queries import PersistedQueries
from tiktok_accounts_gql.web.refused_operations import record_refusals
from tiktok_accounts_gql.web.subscriptions import subscribe

PATH = "/graphql"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="tiktok-accounts"'}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLEndpoint:
    """ASGI application of the endpoint. `explorer` is GraphiQL, in development only."""

    engine: Engine
    explorer: Explorer | None
    persisted: PersistedQueries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._handle(Request(scope, receive))
        await response(scope, receive, send)

    async def _handle(self, request: Request) -> Response:
        accept = request.headers.get("accept")
        if self.explorer and request.method == "GET" and prefers_html(accept):
            return self.explorer.page()
        types = negotiate(accept)
        try:
            response = await self._respond(request, types)
        except RequestError as error:
            headers = CHALLENGE if error.code is ErrorCode.UNAUTHENTICATED else None
            if isinstance(error, MethodNotAllowed):
                headers = {"Allow": error.allow}
            response = responses.error_response(error, request_id(request), media_type=types.error, headers=headers)
        return response if isinstance(response, SubscriptionResponse) else frame_response(response, types.error)

    async def _respond(self, request: Request, types: AcceptedTypes) -> Response:
        """Authenticate, read, prepare and execute. Raises RequestError."""
        if request.method not in ("GET", "POST"):
            raise MethodNotAllowed
        caller = await authenticate_caller(request, request.headers.get("authorization"))
        if types.result is None and types.stream is None:
            raise NotAcceptable
        graphql_request, prepared = await self.persisted.prepare(await read_request(request), caller.viewer.id)
        add_log_field(request, "operation", prepared.name)
        if prepared.kind is OperationType.SUBSCRIPTION:
            return await self._subscribe(request, types, prepared, graphql_request, caller)
        if graphql_request.method == "GET" and prepared.kind is OperationType.MUTATION:
            raise MethodNotAllowed("By GET no mutations can be asked.", allow="POST")
        if types.result is None and prepared.kind is not None:
            raise NotAcceptable
        media_type = types.error

        async def execute(caller: Caller) -> tuple[Response, int]:
            costed = await self.engine.cost(prepared, graphql_request.variables)
            await caller.services.budget.spend(caller.viewer.id, costed.points)
            result = await self.engine.execute(costed, caller.new_context(costed.points))
            if not isinstance(result, bytes):
                await record_refusals(prepared, result, caller)
            return responses.execution_response(result, caller.request_id, media_type, costed.points), costed.points

        lists: ListCache | None = request.state.lists
        if lists is None:
            response, _ = await execute(caller)
            return response
        cacheable = lists.find_cacheable(prepared, graphql_request, caller, media_type)
        return await lists.respond(request, cacheable, caller, execute)

    async def _subscribe(
        self,
        request: Request,
        types: AcceptedTypes,
        prepared: PreparedOperation,
        graphql_request: GraphQLRequest,
        caller: Caller,
    ) -> Response:
        if types.stream is None:
            raise StreamNotAcceptable
        if graphql_request.method == "GET" and types.stream != EVENTS:
            raise MethodNotAllowed(f"By GET subscriptions are answered as {EVENTS} only.", allow="POST")
        payloads = await subscribe(self.engine, prepared, graphql_request, caller)
        if isinstance(payloads, ExecutionResult):
            return responses.execution_response(payloads, caller.request_id, types.error, 0)
        respond = server_sent_events.respond if types.stream == EVENTS else multipart.respond
        return respond(payloads, caller, request.state.stopping, error_media_type=types.error)
