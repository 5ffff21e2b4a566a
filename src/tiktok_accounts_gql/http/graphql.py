"""The GraphQL endpoint: one request in, one answer out."""

from dataclasses import dataclass

from graphql import ExecutionResult, OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tiktok_accounts_gql.errors import BadUserInput, ErrorCode, RequestError
from tiktok_accounts_gql.execution.engine import Engine, Prepared
from tiktok_accounts_gql.http import answers, multipart
from tiktok_accounts_gql.http.caller import Caller, identify
from tiktok_accounts_gql.http.edge import annotate, request_id
from tiktok_accounts_gql.http.graphiql.page import Explorer
from tiktok_accounts_gql.http.list_cache import ListCache
from tiktok_accounts_gql.http.live import subscribe
from tiktok_accounts_gql.http.media_types import JSON, negotiate, wants_page, wants_parts
from tiktok_accounts_gql.http.refusals import record_refusals
from tiktok_accounts_gql.http.requests import GraphQLRequest, read_request

PATH = "/graphql"
ALLOW = {"Allow": "GET, POST"}
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="tiktok-accounts"'}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLEndpoint:
    """`explorer` is GraphiQL's page, in development only. What runs is in the lifespan's state."""

    engine: Engine
    explorer: Explorer | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._handle(Request(scope, receive))
        await response(scope, receive, send)

    async def _handle(self, request: Request) -> Response:
        if request.method not in ("GET", "POST"):
            return _method_not_allowed(request, "GraphQL is asked by GET or POST.")
        accept = request.headers.get("accept")
        if self.explorer and request.method == "GET" and wants_page(accept):
            return self.explorer.page()
        media_type = negotiate(accept)
        try:
            return await self._answer(request, media_type)
        except RequestError as error:
            headers = CHALLENGE if error.code is ErrorCode.UNAUTHENTICATED else None
            return answers.refusal(error, request_id(request), media_type=media_type or JSON, headers=headers)

    async def _answer(self, request: Request, media_type: str | None) -> Response:
        caller = await identify(request, request.headers.get("authorization"))
        if media_type is None and not wants_parts(request.headers.get("accept")):
            return _not_acceptable(request)
        asked = await read_request(request)
        prepared = self.engine.prepare(asked.query, asked.operation_name)
        annotate(request, operation=prepared.name)
        if asked.method == "GET" and prepared.kind not in (None, OperationType.QUERY):
            return _method_not_allowed(request, "By GET only queries can be asked.", allow={"Allow": "POST"})
        if prepared.kind is OperationType.SUBSCRIPTION:
            return await self._subscribe(request, prepared, asked, caller)
        if media_type is None:
            return _not_acceptable(request)

        async def execute(caller: Caller) -> Response:
            result = await self.engine.execute(prepared, asked.variables, caller.new_context())
            if not isinstance(result, bytes):
                await record_refusals(prepared, result, caller)
            return answers.answer(result, caller.request_id, media_type)

        lists: ListCache | None = request.state.lists
        if lists is None:
            return await execute(caller)
        return await lists.answer(request, lists.asked(prepared, asked, caller, media_type), caller, execute)

    async def _subscribe(self, request: Request, prepared: Prepared, asked: GraphQLRequest, caller: Caller) -> Response:
        if not wants_parts(request.headers.get("accept")):
            return _not_acceptable(request, "Subscriptions are answered as multipart/mixed;subscriptionSpec=1.0.")
        payloads = await subscribe(self.engine, prepared, asked, caller)
        if isinstance(payloads, ExecutionResult):
            return answers.answer(payloads, caller.request_id, JSON)
        return multipart.respond(payloads, caller, request.state.stopping)


def _method_not_allowed(request: Request, message: str, *, allow: dict[str, str] = ALLOW) -> Response:
    response = answers.refusal(BadUserInput(message), request_id(request), headers=allow)
    response.status_code = 405
    return response


def _not_acceptable(
    request: Request, message: str = "Answers are application/graphql-response+json or application/json."
) -> Response:
    response = answers.refusal(BadUserInput(message), request_id(request))
    response.status_code = 406
    return response
