"""What goes back: JSON everywhere, errors with a code, nothing of the inside."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from graphql import ExecutionResult, GraphQLError, GraphQLFormattedError
from starlette.responses import Response
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.errors import AppError, ErrorCode, RequestError
from tiktok_accounts_gql.http.media_types import EVENTS, JSON
from tiktok_accounts_gql.http.requests import (
    BodyTooLarge,
    MethodNotAllowed,
    NotAcceptable,
    StreamNotAcceptable,
    UnsupportedMediaType,
)

STATUS = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.PERSISTED_QUERY_NOT_FOUND: 200,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.SERVICE_UNAVAILABLE: 503,
    ErrorCode.INTERNAL_SERVER_ERROR: 500,
}
_STATUS_OF: Mapping[type[RequestError], int] = {
    BodyTooLarge: 413,
    MethodNotAllowed: 405,
    NotAcceptable: 406,
    StreamNotAcceptable: 406,
    UnsupportedMediaType: 415,
}
_PASSED_BY_JSON = {ErrorCode.GRAPHQL_PARSE_FAILED, ErrorCode.GRAPHQL_VALIDATION_FAILED, ErrorCode.BAD_USER_INPUT}
MASKED = "Unexpected error."

log = structlog.get_logger()


def refusal(
    error: RequestError, request_id: str, *, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a request that is not executed."""
    status = _STATUS_OF.get(type(error)) or STATUS.get(error.code, 400)
    return respond({"errors": [said(error, request_id)]}, status, media_type, headers)


def said(error: RequestError, request_id: str) -> dict[str, Any]:
    """An error that no field raised."""
    return {"message": error.message, "extensions": {"code": error.code, "requestId": request_id}}


def not_found(request_id: str) -> Response:
    """The answer where nothing is."""
    extensions = {"code": ErrorCode.NOT_FOUND, "requestId": request_id}
    return respond({"errors": [{"message": "There is nothing at this path.", "extensions": extensions}]}, 404, JSON)


def unexpected(error: Exception, request_id: str) -> Response:
    """The answer where even the edge failed."""
    extensions = {"code": ErrorCode.INTERNAL_SERVER_ERROR, "errorId": _logged(error), "requestId": request_id}
    return respond({"errors": [{"message": MASKED, "extensions": extensions}]}, 500, JSON)


def answer(result: ExecutionResult | bytes, request_id: str, media_type: str) -> Response:
    """The answer to a request that was executed, or that the schema refuses."""
    if isinstance(result, bytes):
        return Response(result, media_type=f"{media_type}; charset=utf-8")
    body = payload(result, request_id)
    return respond(body, 200 if "data" in body else _refused_status(body["errors"], media_type), media_type)


def is_whole(response: Response) -> bool:
    """Whether an answer is without errors, which stand before the data."""
    return response.status_code == HTTPStatus.OK and bytes(response.body).startswith(b'{"data":')


def payload(result: ExecutionResult, request_id: str) -> dict[str, Any]:
    """An answer as such, without `data` if nothing was executed."""
    if not result.errors:
        return {"data": result.data}
    errors = [_formatted(error, request_id) for error in result.errors]
    executed = result.data is not None or any(error.path for error in result.errors)
    return {"errors": errors, "data": result.data} if executed else {"errors": errors}


def broken_off(error: Exception, request_id: str) -> dict[str, Any]:
    """The last payload of a subscription that failed between two events."""
    return {"errors": [_formatted(GraphQLError("", original_error=error), request_id)]}


def respond(body: Any, status: int, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    content_type = f"{media_type}; charset=utf-8"
    return Response(orjson.dumps(body), status, headers, media_type=content_type)


def _refused_status(errors: Sequence[Mapping[str, Any]], media_type: str) -> int:
    """Before the watershed of the specification, application/json says 200 to a document that the schema refuses.

    The protocol of server-sent events wants 200 for all that a client gets wrong: its clients read nothing else.
    """
    codes = {error["extensions"]["code"] for error in errors}
    if media_type == JSON and codes <= _PASSED_BY_JSON:
        return 200
    status = max(STATUS.get(ErrorCode(code), 400) for code in codes)
    return 200 if media_type == EVENTS and status < HTTPStatus.TOO_MANY_REQUESTS else status


def _formatted(error: GraphQLError, request_id: str) -> GraphQLFormattedError:
    formatted = error.formatted
    formatted["extensions"] = {**_explained(error, formatted), "requestId": request_id}
    return formatted


def _explained(error: GraphQLError, formatted: GraphQLFormattedError) -> dict[str, Any]:
    """The extensions; the message is replaced where it says too much."""
    cause = cause_of(error)
    if cause is None:
        return {"code": ErrorCode.BAD_USER_INPUT, **(error.extensions or {})}
    if isinstance(cause, AppError):
        formatted["message"] = cause.message
        return {"code": cause.code if isinstance(cause, RequestError) else ErrorCode.BAD_USER_INPUT}
    formatted["message"] = MASKED
    return {"code": ErrorCode.INTERNAL_SERVER_ERROR, "errorId": _logged(cause)}


def cause_of(error: GraphQLError) -> Exception | None:
    """What a resolver raised, if it was that."""
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _logged(error: Exception) -> str:
    error_id = uuid7().hex
    log.error("unexpected error", error_id=error_id, exc_info=error)
    return error_id
