"""Messages of the WebSocket subprotocol `graphql-transport-ws` (graphql-ws' PROTOCOL.md)."""

from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import Message

from tiktok_accounts_gql.errors import BadUserInput
from tiktok_accounts_gql.web.graphql_requests import GraphQLRequest, to_graphql_request

PROTOCOL = "graphql-transport-ws"
MAX_ID_LENGTH = 255
MAX_REASON_BYTES = 123  # of a close frame (RFC 6455, section 5.5)


class CloseCode:
    """Close codes of RFC 6455 and of the subprotocol."""

    TRY_AGAIN_LATER = 1013
    INVALID_MESSAGE = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INIT_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY_INITS = 4429


class SocketClosed(Exception):
    """The server closes the socket, with a code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


class InvalidMessage(SocketClosed):
    """The client sent a message of a type or shape that the subprotocol does not have."""

    def __init__(self, reason: str) -> None:
        super().__init__(CloseCode.INVALID_MESSAGE, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    payload: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    id: str
    request: GraphQLRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    id: str


ClientMessage = Init | Ping | Pong | Subscribe | Complete


def parse_message(frame: Message) -> ClientMessage:
    """Parse a message of a client. Raises InvalidMessage."""
    message = _parse_object(frame.get("text"))
    match message.get("type"):
        case "connection_init":
            return Init(payload=_get_payload(message) or {})
        case "ping":
            return Ping(payload=_get_payload(message))
        case "pong":
            _get_payload(message)
            return Pong()
        case "subscribe":
            return Subscribe(id=_get_id(message), request=_get_request(message))
        case "complete":
            return Complete(id=_get_id(message))
    raise InvalidMessage("This is no message of a client's.")


def _parse_object(text: str | None) -> dict[str, Any]:
    try:
        message = orjson.loads(text) if text is not None else None
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict):
        raise InvalidMessage("A message is a JSON object in a text frame.")
    return message


def _get_payload(message: dict[str, Any]) -> dict[str, Any] | None:
    """Return the payload, or None without one. Raises InvalidMessage."""
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise InvalidMessage("`payload` is a JSON object.")
    return payload


def _get_request(message: dict[str, Any]) -> GraphQLRequest:
    try:
        return to_graphql_request(_get_payload(message) or {}, "WEBSOCKET")
    except BadUserInput as error:
        raise InvalidMessage(error.message) from None


def _get_id(message: dict[str, Any]) -> str:
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not 0 < len(operation_id) <= MAX_ID_LENGTH:
        raise InvalidMessage(f"`id` is a string of 1 to {MAX_ID_LENGTH} characters.")
    return operation_id
