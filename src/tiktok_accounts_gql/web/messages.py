"""Messages of the subprotocol `graphql-transport-ws`, as its specification has them."""

from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import Message

from tiktok_accounts_gql.errors import BadUserInput
from tiktok_accounts_gql.web.requests import GraphQLRequest, request_of

PROTOCOL = "graphql-transport-ws"
LONGEST_ID = 255


class Closed(Exception):
    """The socket is to be closed, with a code of the protocol's and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:123].decode(errors="ignore")  # a control frame holds no more


class InvalidMessage(Closed):
    """Of a type or format that the protocol does not have."""

    def __init__(self, reason: str) -> None:
        super().__init__(4400, reason)


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
    asked: GraphQLRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    id: str


ClientMessage = Init | Ping | Pong | Subscribe | Complete


def read(frame: Message) -> ClientMessage:
    """What a client says. Raises InvalidMessage."""
    message = _object(frame.get("text"))
    match message.get("type"):
        case "connection_init":
            return Init(payload=_payload(message) or {})
        case "ping":
            return Ping(payload=_payload(message))
        case "pong":
            _payload(message)
            return Pong()
        case "subscribe":
            return Subscribe(id=_id(message), asked=_asked(message))
        case "complete":
            return Complete(id=_id(message))
    raise InvalidMessage("This is no message of a client's.")


def _object(text: str | None) -> dict[str, Any]:
    try:
        message = orjson.loads(text) if text is not None else None
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict):
        raise InvalidMessage("A message is a JSON object in a text frame.")
    return message


def _payload(message: dict[str, Any]) -> dict[str, Any] | None:
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise InvalidMessage("`payload` is a JSON object.")
    return payload


def _id(message: dict[str, Any]) -> str:
    one = message.get("id")
    if not isinstance(one, str) or not 0 < len(one) <= LONGEST_ID:
        raise InvalidMessage(f"`id` is a string of 1 to {LONGEST_ID} characters.")
    return one


def _asked(message: dict[str, Any]) -> GraphQLRequest:
    try:
        return request_of(_payload(message) or {}, "WEBSOCKET")
    except BadUserInput as error:
        raise InvalidMessage(error.message) from None
