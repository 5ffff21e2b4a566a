"""From an HTTP request to a GraphQL request, as the GraphQL-over-HTTP specification describes both.

No batches, no multipart, no forms: one JSON object by POST, or query parameters by GET. A browser sends a GET or a "simple"
POST to any site without asking (a preflight). Those get nothing here: whoever asks has signed in before by the header
`Authorization`, which a page of another origin cannot set without being asked about it.
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
TOO_LATE = "too_late"  # set in a scope's state by the server: the body did not arrive in time, and ends where it is
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class BodyTooLarge(LimitExceeded):
    message = f"The request's body is larger than {MAX_BODY_BYTES // 1024} KiB."


class HeadTooLarge(LimitExceeded):
    message = "The request's headers are larger than 32 KiB, or more than 128."


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
    """What to execute. `method` decides what is allowed.

    `digest`: the query's SHA-256, by a client that may leave the query out (`persisted_queries.py`); it is "" then.
    """

    query: str
    digest: bytes | None
    variables: dict[str, Any] | None
    operation_name: str | None
    method: str


async def read_request(request: Request) -> GraphQLRequest:
    """Raises BadUserInput, UnsupportedMediaType, BodyTooLarge."""
    if request.method == "GET":
        return request_of(_query_parameters(request), "GET")
    _refuse_other_types(request)
    return request_of(_json(await read_body(request)), "POST")


def _refuse_other_types(request: Request) -> None:
    media_type, charset = _content_type(request)
    if media_type != "application/json" or charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaType


def _content_type(request: Request) -> tuple[str, str]:
    return _parsed(request.headers.get("content-type", ""))


@lru_cache(maxsize=64)
def _parsed(content_type: str) -> tuple[str, str]:
    if not content_type:
        return "", ""
    header = Message()
    header["content-type"] = content_type
    return header.get_content_type(), (header.get_content_charset() or "utf-8")


def _query_parameters(request: Request) -> dict[str, Any]:
    parameters: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if parameters.get(name):
            parameters[name] = _json(parameters[name].encode("utf-8", "surrogatepass"))
    return parameters


async def read_body(request: Request) -> bytes:
    """64 KiB at most. Raises BodyTooLarge, RequestTimeout and BadUserInput."""
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
    if TOO_LATE in request.scope["state"]:
        raise RequestTimeout
    return bytes(body)


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadUserInput(f"This is not JSON: {error.msg}.") from None


def request_of(parameters: Any, method: str) -> GraphQLRequest:
    """Raises BadUserInput."""
    if not isinstance(parameters, dict):
        raise BadUserInput("The body is one JSON object; batches are not supported.")
    digest = _digest(_typed(parameters, "extensions", dict) or {})
    query = _typed(parameters, "query", str)
    if not query and digest is None:
        raise BadUserInput("`query` is missing.")
    return GraphQLRequest(
        query=query or "",
        digest=digest,
        variables=_typed(parameters, "variables", dict),
        operation_name=_typed(parameters, "operationName", str),
        method=method,
    )


def _digest(extensions: dict[str, Any]) -> bytes | None:
    persisted = _typed(extensions, "persistedQuery", dict)
    if persisted is None:
        return None
    version, digest = persisted.get("version"), persisted.get("sha256Hash")
    if type(version) is not int or version != 1 or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise BadUserInput("`extensions.persistedQuery` has `version` 1 and a `sha256Hash` of 64 hexadecimal digits.")
    return bytes.fromhex(digest)


def _typed(parameters: dict[str, Any], name: str, kind: type) -> Any:
    """None where nothing is: an empty text is as good as absent."""
    value = parameters.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, kind):
        raise BadUserInput(f"`{name}` is {'a string' if kind is str else 'a JSON object'}.")
    return value
