"""What goes back: JSON everywhere, errors with a code, nothing of the inside."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from graphql import ExecutionResult, GraphQLError, GraphQLFormattedError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.error_catalog import ERRORS
from tiktok_accounts_gql.errors import AppError, ErrorCode, LimitExceeded, RequestError
from tiktok_accounts_gql.web.media_types import EVENTS, JSON
from tiktok_accounts_gql.web.requests import (
    BodyTooLarge,
    ForeignOrigin,
    HeadTooLarge,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    StreamNotAcceptable,
    UnsupportedMediaType,
)

_STATUS_OF: Mapping[type[RequestError], int] = {
    BodyTooLarge: 413,
    ForeignOrigin: 403,
    HeadTooLarge: 431,
    MethodNotAllowed: 405,
    NotAcceptable: 406,
    RequestTimeout: 408,
    StreamNotAcceptable: 406,
    UnsupportedMediaType: 415,
}
_PASSED_BY_JSON = {ErrorCode.GRAPHQL_PARSE_FAILED, ErrorCode.GRAPHQL_VALIDATION_FAILED, ErrorCode.BAD_USER_INPUT}
MASKED = "Unexpected error."
MAX_BYTES = 8 * 1024 * 1024  # of an answer, and of an event of a subscription

log = structlog.get_logger()


def refusal(
    error: RequestError, request_id: str, *, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a request that is not executed."""
    status = _STATUS_OF.get(type(error)) or ERRORS[error.code].status
    if error.retry_after_seconds is not None:
        headers = {"Retry-After": str(error.retry_after_seconds), **(headers or {})}
    return respond({"errors": [said(error, request_id)]}, status, media_type, headers)


def said(error: RequestError, request_id: str) -> dict[str, Any]:
    """An error that no field raised."""
    return {"message": error.message, "extensions": {**_facts(error), "requestId": request_id}}


def _facts(error: RequestError) -> dict[str, Any]:
    """The code, and when another try makes sense if that is known."""
    if error.retry_after_seconds is None:
        return {"code": error.code}
    return {"code": error.code, "retryAfterSeconds": error.retry_after_seconds}


def not_found(request_id: str) -> Response:
    """The answer where nothing is."""
    return _refusal_of(ErrorCode.NOT_FOUND, "There is nothing at this path.", request_id, 404)


def failure(error: Exception, request_id: str) -> Response:
    """The answer to a request outside GraphQL that ended in an exception."""
    if isinstance(error, RequestError):
        return refusal(error, request_id)
    if isinstance(error, HTTPException):
        return _refused_by_a_route(error, request_id)
    return _unexpected(error, request_id)


def _refused_by_a_route(error: HTTPException, request_id: str) -> Response:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return not_found(request_id)
    is_method = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    message = "This path is not asked by this method." if is_method else error.detail
    return _refusal_of(ErrorCode.BAD_USER_INPUT, message, request_id, error.status_code, error.headers)


def _refusal_of(
    code: ErrorCode, message: str, request_id: str, status: int, headers: Mapping[str, str] | None = None
) -> Response:
    error = {"message": message, "extensions": {"code": code, "requestId": request_id}}
    return respond({"errors": [error]}, status, JSON, headers)


def _unexpected(error: Exception, request_id: str) -> Response:
    """The answer where even the edge failed."""
    extensions = {"code": ErrorCode.INTERNAL_SERVER_ERROR, "errorId": _logged(error), "requestId": request_id}
    return respond({"errors": [{"message": MASKED, "extensions": extensions}]}, 500, JSON)


def answer(result: ExecutionResult | bytes, request_id: str, media_type: str, points: int) -> Response:
    """The answer to a request that was executed, or that the schema refuses. Raises LimitExceeded for one too large."""
    if isinstance(result, bytes):
        _check_size(result)
        whole = b'%b,"extensions":{"cost":%d}}' % (result[:-1], points)  # a whole answer, from `{"data":` to `}`
        return Response(whole, media_type=f"{media_type}; charset=utf-8")
    body = payload(result, request_id, points)
    return respond(body, 200 if "data" in body else _refused_status(body["errors"], media_type), media_type)


def is_whole(response: Response) -> bool:
    """Whether an answer is without errors, which stand before the data."""
    return response.status_code == HTTPStatus.OK and bytes(response.body).startswith(b'{"data":')


def payload(result: ExecutionResult, request_id: str, points: int) -> dict[str, Any]:
    """An answer as such, without `data` if nothing was executed. `points`: what the operation costs."""
    extensions = {"cost": points}
    if not result.errors:
        return {"data": result.data, "extensions": extensions}
    errors = [_formatted(error, request_id) for error in result.errors]
    executed = result.data is not None or any(error.path for error in result.errors)
    return {"errors": errors, "data": result.data, "extensions": extensions} if executed else {"errors": errors}


def event(result: ExecutionResult, request_id: str, points: int) -> bytes:
    """The payload of one event of a subscription, as JSON. Raises LimitExceeded for one too large."""
    content = orjson.dumps(payload(result, request_id, points))
    _check_size(content, "event")
    return content


def broken_off(error: Exception, request_id: str) -> dict[str, Any]:
    """The last payload of a subscription that failed between two events."""
    return {"errors": [_formatted(GraphQLError("", original_error=error), request_id)]}


def respond(body: Any, status: int, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    content_type = f"{media_type}; charset=utf-8"
    content = orjson.dumps(body)
    _check_size(content)
    return Response(content, status, headers, media_type=content_type)


def _check_size(content: bytes, name: str = "answer") -> None:
    """Raises LimitExceeded."""
    if len(content) > MAX_BYTES:
        raise LimitExceeded(f"The {name} has {len(content)} bytes; {MAX_BYTES} are allowed. Ask for less at once.")


def _refused_status(errors: Sequence[Mapping[str, Any]], media_type: str) -> int:
    """Before the watershed of the specification, application/json says 200 to a document that the schema refuses.

    The protocol of server-sent events wants 200 for all that a client gets wrong: its clients read nothing else.
    """
    codes = {error["extensions"]["code"] for error in errors}
    if media_type == JSON and codes <= _PASSED_BY_JSON:
        return 200
    status = max(ERRORS[ErrorCode(code)].status for code in codes)
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
        return _facts(cause) if isinstance(cause, RequestError) else {"code": ErrorCode.BAD_USER_INPUT}
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
