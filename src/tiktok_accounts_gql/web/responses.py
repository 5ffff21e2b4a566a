"""Builds responses: JSON, errors with a code, and no details of unexpected failures."""

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
from tiktok_accounts_gql.web.graphql_requests import (
    BodyTooLarge,
    ForeignOrigin,
    HeadTooLarge,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    StreamNotAcceptable,
    UnsupportedMediaType,
)
from tiktok_accounts_gql.web.media_types import EVENTS, JSON

_STATUS_BY_TYPE: Mapping[type[RequestError], int] = {  # where it is more specific than the status of the error's code
    BodyTooLarge: 413,
    ForeignOrigin: 403,
    HeadTooLarge: 431,
    MethodNotAllowed: 405,
    NotAcceptable: 406,
    RequestTimeout: 408,
    StreamNotAcceptable: 406,
    UnsupportedMediaType: 415,
}
_OK_IN_JSON = {ErrorCode.GRAPHQL_PARSE_FAILED, ErrorCode.GRAPHQL_VALIDATION_FAILED, ErrorCode.BAD_USER_INPUT}
MASKED_MESSAGE = "Unexpected error."
MAX_BYTES = 8 * 1024 * 1024  # of a response, and of an event of a subscription

log = structlog.get_logger()


def json_response(body: Any, status: int, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return `body` as JSON. Raises LimitExceeded if it is too large."""
    content = orjson.dumps(body)
    _check_size(content)
    return Response(content, status, headers, media_type=f"{media_type}; charset=utf-8")


def error_response(
    error: RequestError, request_id: str, *, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the response to a request that is not executed."""
    status = _STATUS_BY_TYPE.get(type(error)) or ERRORS[error.code].status
    if error.retry_after_seconds is not None:
        headers = {"Retry-After": str(error.retry_after_seconds), **(headers or {})}
    return json_response({"errors": [error_payload(error, request_id)]}, status, media_type, headers)


def error_payload(error: RequestError, request_id: str) -> dict[str, Any]:
    """Return an error that was not raised by a field, so has no path."""
    return {"message": error.message, "extensions": {**_error_extensions(error), "requestId": request_id}}


def _error_extensions(error: RequestError) -> dict[str, Any]:
    if error.retry_after_seconds is None:
        return {"code": error.code}
    return {"code": error.code, "retryAfterSeconds": error.retry_after_seconds}


def not_found_response(request_id: str) -> Response:
    return _plain_error_response(ErrorCode.NOT_FOUND, "There is nothing at this path.", request_id, 404)


def exception_response(error: Exception, request_id: str) -> Response:
    """Return the response to a request that raised outside of GraphQL; an unexpected exception is logged and masked."""
    if isinstance(error, RequestError):
        return error_response(error, request_id)
    if isinstance(error, HTTPException):
        if error.status_code == HTTPStatus.NOT_FOUND:
            return not_found_response(request_id)
        is_method = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
        message = "This path is not asked by this method." if is_method else error.detail
        return _plain_error_response(ErrorCode.BAD_USER_INPUT, message, request_id, error.status_code, error.headers)
    extensions = {"code": ErrorCode.INTERNAL_SERVER_ERROR, "errorId": _log_error(error), "requestId": request_id}
    return json_response({"errors": [{"message": MASKED_MESSAGE, "extensions": extensions}]}, 500, JSON)


def _plain_error_response(
    code: ErrorCode, message: str, request_id: str, status: int, headers: Mapping[str, str] | None = None
) -> Response:
    error = {"message": message, "extensions": {"code": code, "requestId": request_id}}
    return json_response({"errors": [error]}, status, JSON, headers)


def execution_response(result: ExecutionResult | bytes, request_id: str, media_type: str, points: int) -> Response:
    """Return the response to a request that was executed, or that does not fit the schema.

    `result`: bytes are a complete JSON object from `{"data":` to `}`. `points`: the cost of the operation. Raises LimitExceeded
    if it is too large.
    """
    if isinstance(result, bytes):
        _check_size(result)
        content = b'%b,"extensions":{"cost":%d}}' % (result[:-1], points)
        return Response(content, media_type=f"{media_type}; charset=utf-8")
    body = execution_payload(result, request_id, points)
    return json_response(body, 200 if "data" in body else _error_status(body["errors"], media_type), media_type)


def has_no_errors(response: Response) -> bool:
    """Return whether a response of `execution_response` has data and no errors, which would stand before the data."""
    return response.status_code == HTTPStatus.OK and bytes(response.body).startswith(b'{"data":')


def execution_payload(result: ExecutionResult, request_id: str, points: int) -> dict[str, Any]:
    """Return a result as JSON objects, without `data` if nothing was executed. `points`: the cost of the operation."""
    extensions = {"cost": points}
    if not result.errors:
        return {"data": result.data, "extensions": extensions}
    errors = [_format_error(error, request_id) for error in result.errors]
    is_executed = result.data is not None or any(error.path for error in result.errors)
    return {"errors": errors, "data": result.data, "extensions": extensions} if is_executed else {"errors": errors}


def event_payload(result: ExecutionResult, request_id: str, points: int) -> bytes:
    """Return the JSON of one event of a subscription. Raises LimitExceeded if it is too large."""
    content = orjson.dumps(execution_payload(result, request_id, points))
    _check_size(content, "event")
    return content


def stream_error_payload(error: Exception, request_id: str) -> dict[str, Any]:
    """Return the last payload of a subscription that failed between two events."""
    return {"errors": [_format_error(GraphQLError("", original_error=error), request_id)]}


def _check_size(content: bytes, name: str = "answer") -> None:
    """Raise LimitExceeded if there are more than MAX_BYTES."""
    if len(content) > MAX_BYTES:
        raise LimitExceeded(f"The {name} has {len(content)} bytes; {MAX_BYTES} are allowed. Ask for less at once.")


def _error_status(errors: Sequence[Mapping[str, Any]], media_type: str) -> int:
    """Return the status of a response without data.

    Under application/json the GraphQL-over-HTTP specification has 200 for a document that does not fit the schema. The
    protocol of server-sent events has 200 for every mistake of the client: its clients do not read other responses.
    """
    codes = {error["extensions"]["code"] for error in errors}
    if media_type == JSON and codes <= _OK_IN_JSON:
        return 200
    status = max(ERRORS[ErrorCode(code)].status for code in codes)
    return 200 if media_type == EVENTS and status < HTTPStatus.TOO_MANY_REQUESTS else status


def _format_error(error: GraphQLError, request_id: str) -> GraphQLFormattedError:
    """Return the error with its code. The message of an unexpected exception is masked and the exception logged."""
    formatted = error.formatted
    cause = get_cause(error)
    extensions: dict[str, Any]
    if cause is None:
        extensions = {"code": ErrorCode.BAD_USER_INPUT, **(error.extensions or {})}
    elif isinstance(cause, AppError):
        formatted["message"] = cause.message
        extensions = _error_extensions(cause) if isinstance(cause, RequestError) else {"code": ErrorCode.BAD_USER_INPUT}
    else:
        formatted["message"] = MASKED_MESSAGE
        extensions = {"code": ErrorCode.INTERNAL_SERVER_ERROR, "errorId": _log_error(cause)}
    formatted["extensions"] = {**extensions, "requestId": request_id}
    return formatted


def get_cause(error: GraphQLError) -> Exception | None:
    """Return the exception that a resolver raised; None if GraphQL itself refused the document or its variables."""
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _log_error(error: Exception) -> str:
    """Return the id under which the error is logged."""
    error_id = uuid7().hex
    log.error("unexpected error", error_id=error_id, exc_info=error)
    return error_id
