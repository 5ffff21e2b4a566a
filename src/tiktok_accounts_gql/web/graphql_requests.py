"""Reads GraphQL requests from HTTP requests, as the GraphQL-over-HTTP specification describes both.

One JSON object by POST, or query parameters by GET; no batches, no multipart, no forms. A browser sends a GET or a "simple"
POST to any site without a preflight (CSRF). Such requests are refused here: every caller has to send `Authorization`, a header
that makes a browser ask first when the page is of another origin.
"""

import re
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from tiktok_accounts_gql.errors import BadUserInput, Forbidden, LimitExceeded
from tiktok_accounts_gql.web.media_types import EVENTS, GRAPHQL, JSON, PARTS

MAX_BODY_BYTES = 64 * 1024
MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 128
BODY_TIMED_OUT = "body_timed_out"  # set in a scope's state by the server, which then ends the body where it is
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_UTF_8 = ("utf-8", "utf8")


class BodyTooLarge(LimitExceeded):
    message = f"The request's body is larger than {MAX_BODY_BYTES // 1024} KiB."


class HeadTooLarge(LimitExceeded):
    message = f"The request's headers are larger than {MAX_HEAD_BYTES // 1024} KiB, or more than {MAX_HEADERS}."


class RequestTimeout(BadUserInput):
    message = "The request took too long to arrive."


class ForeignOrigin(Forbidden):
    message = "Pages of this origin may not connect here."


class MethodNotAllowed(BadUserInput):
    message = "GraphQL is asked by GET or POST."

    def __init__(self, message: str | None = None, *, allow: str = "GET, POST") -> None:
        super().__init__(message)
        self.allow = allow


class NotAcceptable(BadUserInput):
    message = f"Answers are {GRAPHQL}, {JSON} or {EVENTS}."


class StreamNotAcceptable(NotAcceptable):
    message = f"Subscriptions are answered as {EVENTS} or {PARTS};subscriptionSpec=1.0, or by WebSocket."


class UnsupportedMediaType(BadUserInput):
    message = "POST a JSON object in UTF-8, with the content type application/json."


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLRequest:
    """A document with its variables. `method`: that of HTTP, or "WEBSOCKET".

    `digest`: the SHA-256 of the query, if the client uses persisted queries (`persisted_queries.py`). It may then leave the
    query out, which is "".
    """

    query: str
    digest: bytes | None
    variables: dict[str, Any] | None
    operation_name: str | None
    method: str


async def read_request(request: Request) -> GraphQLRequest:
    """Read a GET or POST. Raises BadUserInput, UnsupportedMediaType, BodyTooLarge, RequestTimeout."""
    if request.method == "GET":
        parameters: dict[str, Any] = dict(request.query_params)
        for name in ("variables", "extensions"):
            if parameters.get(name):
                parameters[name] = _parse_json(parameters[name].encode("utf-8", "surrogatepass"))
        return to_graphql_request(parameters, "GET")
    media_type, charset = _parse_content_type(request.headers.get("content-type", ""))
    if media_type != JSON or charset not in _UTF_8:
        raise UnsupportedMediaType
    return to_graphql_request(_parse_json(await read_body(request)), "POST")


@lru_cache(maxsize=64)
def _parse_content_type(content_type: str) -> tuple[str, str]:
    """Return media type and charset."""
    if not content_type:
        return "", ""
    header = Message()
    header["content-type"] = content_type
    return header.get_content_type(), (header.get_content_charset() or "utf-8")


async def read_body(request: Request) -> bytes:
    """Read at most MAX_BODY_BYTES. Raises BodyTooLarge, RequestTimeout and BadUserInput."""
    if int(request.headers.get("content-length") or 0) > MAX_BODY_BYTES:
        raise BodyTooLarge
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise BodyTooLarge
    except ClientDisconnect:
        raise BadUserInput("The request ended before its body was complete.") from None
    if BODY_TIMED_OUT in request.scope["state"]:
        raise RequestTimeout
    return bytes(body)


def _parse_json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadUserInput(f"This is not JSON: {error.msg}.") from None


def to_graphql_request(parameters: Any, method: str) -> GraphQLRequest:
    """Check the parameters of a request. Raises BadUserInput."""
    if not isinstance(parameters, dict):
        raise BadUserInput("The body is one JSON object; batches are not supported.")
    digest = _find_digest(_find_typed(parameters, "extensions", dict) or {})
    query = _find_typed(parameters, "query", str)
    if not query and digest is None:
        raise BadUserInput("`query` is missing.")
    return GraphQLRequest(
        query=query or "",
        digest=digest,
        variables=_find_typed(parameters, "variables", dict),
        operation_name=_find_typed(parameters, "operationName", str),
        method=method,
    )


def _find_digest(extensions: dict[str, Any]) -> bytes | None:
    persisted = _find_typed(extensions, "persistedQuery", dict)
    if persisted is None:
        return None
    version, digest = persisted.get("version"), persisted.get("sha256Hash")
    if type(version) is not int or version != 1 or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise BadUserInput("`extensions.persistedQuery` has `version` 1 and a `sha256Hash` of 64 hexadecimal digits.")
    return bytes.fromhex(digest)


def _find_typed(parameters: dict[str, Any], name: str, kind: type) -> Any:
    """Return the parameter; None if it is absent, null or an empty text. Raises BadUserInput for another type."""
    value = parameters.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, kind):
        raise BadUserInput(f"`{name}` is {'a string' if kind is str else 'a JSON object'}.")
    return value
