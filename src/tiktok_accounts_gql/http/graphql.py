"""The GraphQL endpoint: one request in, one answer out."""

from dataclasses import dataclass

from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response

from tiktok_accounts_gql.db.models import AuditActor
from tiktok_accounts_gql.errors import BadUserInput, RequestError
from tiktok_accounts_gql.execution.engine import Engine
from tiktok_accounts_gql.http import answers
from tiktok_accounts_gql.http.authentication import Authenticator
from tiktok_accounts_gql.http.edge import annotate, request_id
from tiktok_accounts_gql.http.graphiql.page import Explorer
from tiktok_accounts_gql.http.media_types import JSON, negotiate, wants_page
from tiktok_accounts_gql.http.requests import read_request
from tiktok_accounts_gql.resolvers.context import Context
from tiktok_accounts_gql.resolvers.loaders import Loaders
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.viewer import Viewer

METHODS = ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]  # all of them are answered, in JSON
ALLOW = {"Allow": "GET, POST"}
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="tiktok-accounts"'}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLEndpoint:
    """`explorer` is GraphiQL's page, in development only. What runs is in the lifespan's state."""

    engine: Engine
    explorer: Explorer | None

    async def handle(self, request: Request) -> Response:
        if request.method not in ("GET", "POST"):
            return _method_not_allowed(request, "GraphQL is asked by GET or POST.")
        accept = request.headers.get("accept")
        if self.explorer and request.method == "GET" and wants_page(accept):
            return self.explorer.page()
        media_type = negotiate(accept)
        try:
            return await self._answer(request, media_type)
        except RequestError as error:
            headers = CHALLENGE if error.code.value == "UNAUTHENTICATED" else None
            return answers.refusal(error, request_id(request), media_type=media_type or JSON, headers=headers)

    async def _answer(self, request: Request, media_type: str | None) -> Response:
        viewer = await self._viewer(request)
        if media_type is None:
            return _not_acceptable(request)
        asked = await read_request(request)
        prepared = self.engine.prepare(asked.query, asked.operation_name)
        annotate(request, operation=prepared.name)
        if asked.method == "GET" and prepared.kind not in (None, OperationType.QUERY):
            return _method_not_allowed(request, "By GET only queries can be asked.", allow={"Allow": "POST"})
        services: Services = request.state.services
        context = Context(viewer=viewer, services=services, loaders=Loaders(viewer, services))
        result = await self.engine.execute(prepared, asked.variables, context)
        return answers.answer(result, request_id(request), media_type)

    async def _viewer(self, request: Request) -> Viewer:
        authenticator: Authenticator = request.state.authenticator
        viewer_id = await authenticator.authenticate(request.headers.get("authorization"))
        annotate(request, viewer=viewer_id)
        address = request.client.host if request.client else None
        return Viewer(id=viewer_id, actor=AuditActor.USER, request_id=request_id(request), ip_address=address)


def _method_not_allowed(request: Request, message: str, *, allow: dict[str, str] = ALLOW) -> Response:
    response = answers.refusal(BadUserInput(message), request_id(request), headers=allow)
    response.status_code = 405
    return response


def _not_acceptable(request: Request) -> Response:
    message = "Answers are application/graphql-response+json or application/json."
    response = answers.refusal(BadUserInput(message), request_id(request))
    response.status_code = 406
    return response
