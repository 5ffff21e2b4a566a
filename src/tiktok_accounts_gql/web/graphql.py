"""The GraphQL endpoint: one request in, one answer out."""

from dataclasses import dataclass

from graphql import ExecutionResult, OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tiktok_accounts_gql.errors import ErrorCode, RequestError
from tiktok_accounts_gql.execution.engine import Engine, PreparedOperation
from tiktok_accounts_gql.web import answers, events, multipart
from tiktok_accounts_gql.web.caller import Caller, identify
from tiktok_accounts_gql.web.edge import annotate, request_id
from tiktok_accounts_gql.web.framing import framed
from tiktok_accounts_gql.web.graphiql.page import Explorer
from tiktok_accounts_gql.web.list_cache import ListCache
from tiktok_accounts_gql.web.live import subscribe
from tiktok_accounts_gql.web.media_types import EVENTS, Accepted, accepted, wants_page
from tiktok_accounts_gql.web.multipart import Stream
from tiktok_accounts_gql.web.persisted_queries import PersistedQueries
from tiktok_accounts_gql.web.refusals import record_refusals
from tiktok_accounts_gql.web.requests import (
    GraphQLRequest,
    MethodNotAllowed,
    NotAcceptable,
    StreamNotAcceptable,
    read_request,
)

PATH = "/graphql"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="tiktok-accounts"'}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLEndpoint:
    """`explorer` is GraphiQL's page, in development only. What runs is in the lifespan's state."""

    engine: Engine
    explorer: Explorer | None
    persisted: PersistedQueries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._handle(Request(scope, receive))
        await response(scope, receive, send)

    async def _handle(self, request: Request) -> Response:
        accept = request.headers.get("accept")
        if self.explorer and request.method == "GET" and wants_page(accept):
            return self.explorer.page()
        types = accepted(accept)
        try:
            response = await self._answer(request, types)
        except RequestError as error:
            response = answers.refusal(error, request_id(request), media_type=types.refusal, headers=_headers_of(error))
        return response if isinstance(response, Stream) else framed(response, types.refusal)

    async def _answer(self, request: Request, types: Accepted) -> Response:
        if request.method not in ("GET", "POST"):
            raise MethodNotAllowed
        caller = await identify(request, request.headers.get("authorization"))
        if types.answer is None and types.stream is None:
            raise NotAcceptable
        asked, prepared = await self.persisted.prepare(await read_request(request), caller.viewer.id)
        annotate(request, "operation", prepared.name)
        if prepared.kind is OperationType.SUBSCRIPTION:
            return await self._subscribe(request, types, prepared, asked, caller)
        if asked.method == "GET" and prepared.kind is OperationType.MUTATION:
            raise MethodNotAllowed("By GET no mutations can be asked.", allow="POST")
        if types.answer is None and prepared.kind is not None:
            raise NotAcceptable
        media_type = types.refusal

        async def execute(caller: Caller) -> tuple[Response, int]:
            costed = await self.engine.cost(prepared, asked.variables)
            await caller.services.budget.spend(caller.viewer.id, costed.points)
            result = await self.engine.execute(costed, caller.new_context(costed.points))
            if not isinstance(result, bytes):
                await record_refusals(prepared, result, caller)
            return answers.answer(result, caller.request_id, media_type, costed.points), costed.points

        lists: ListCache | None = request.state.lists
        if lists is None:
            response, _ = await execute(caller)
            return response
        return await lists.answer(request, lists.asked(prepared, asked, caller, media_type), caller, execute)

    async def _subscribe(
        self, request: Request, types: Accepted, prepared: PreparedOperation, asked: GraphQLRequest, caller: Caller
    ) -> Response:
        if types.stream is None:
            raise StreamNotAcceptable
        if asked.method == "GET" and types.stream != EVENTS:
            raise MethodNotAllowed(f"By GET subscriptions are answered as {EVENTS} only.", allow="POST")
        payloads = await subscribe(self.engine, prepared, asked, caller)
        if isinstance(payloads, ExecutionResult):
            return answers.answer(payloads, caller.request_id, types.refusal, 0)
        respond = events.respond if types.stream == EVENTS else multipart.respond
        return respond(payloads, caller, request.state.stopping, refusal=types.refusal)


def _headers_of(error: RequestError) -> dict[str, str] | None:
    if isinstance(error, MethodNotAllowed):
        return {"Allow": error.allow}
    return CHALLENGE if error.code is ErrorCode.UNAUTHENTICATED else None
