"""Subscriptions over WebSocket, with the subprotocol `graphql-transport-ws`.

Each operation is a task that asks for the next event after it has sent the last one. Events of the meantime are merged in its
subscription, so a slow client costs no memory and gets the latest state. A client that reads nothing at all is disconnected by
the server below (`server/`), which also closes sockets with 1012 when it is about to stop.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from graphql import ExecutionResult, OperationType
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from tiktok_accounts_gql.errors import (
    BadUserInput,
    LimitExceeded,
    RequestError,
    ServiceUnavailable,
    TooManyStreams,
    Unauthenticated,
)
from tiktok_accounts_gql.execution.engine import Engine
from tiktok_accounts_gql.logs import truncate
from tiktok_accounts_gql.tasks import cancel_and_wait
from tiktok_accounts_gql.web import responses
from tiktok_accounts_gql.web.caller import Caller, authenticate_caller
from tiktok_accounts_gql.web.graphql_requests import ForeignOrigin
from tiktok_accounts_gql.web.graphql_transport_ws import (
    PROTOCOL,
    ClientMessage,
    CloseCode,
    Complete,
    Init,
    Ping,
    Pong,
    SocketClosed,
    Subscribe,
    parse_message,
)
from tiktok_accounts_gql.web.middleware import add_log_field, request_id
from tiktok_accounts_gql.web.persisted_queries import PersistedQueries
from tiktok_accounts_gql.web.socket_credentials import find_credential
from tiktok_accounts_gql.web.subscriptions import EXPIRED, Payload, subscribe

INIT_SECONDS = 10.0
KEEP_CONNECTION = "keep_connection"  # a function in a scope's state: tells the server that the client is authenticated
MAX_OPERATIONS = 20
_DISCONNECTED = (WebSocketDisconnect, WebSocketDisconnected)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketEndpoint:
    """The WebSocket endpoint. `origins`: those whose pages may connect; a client that is no page sends no Origin."""

    engine: Engine
    persisted: PersistedQueries
    origins: Collection[str]

    async def handle(self, websocket: WebSocket) -> None:
        origin = websocket.headers.get("origin")
        if origin is not None and origin not in self.origins:
            await websocket.send_denial_response(responses.error_response(ForeignOrigin(), request_id(websocket)))
            return
        if PROTOCOL not in websocket.scope["subprotocols"]:
            await websocket.accept()
            code = CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE
            await _close(websocket, SocketClosed(code, "Subprotocol not acceptable"))
            return
        await websocket.accept(subprotocol=PROTOCOL)
        try:
            await _SocketSession(websocket, self.engine, self.persisted).run()
        except SocketClosed as closed:
            await _close(websocket, closed)
        except _DISCONNECTED:
            return


async def _close(websocket: WebSocket, closed: SocketClosed) -> None:
    add_log_field(websocket, "closed", str(closed.code))
    with suppress(*_DISCONNECTED):
        await websocket.close(closed.code, closed.reason)


class _SocketSession:
    """One socket, from its acceptance to its end."""

    def __init__(self, websocket: WebSocket, engine: Engine, persisted: PersistedQueries) -> None:
        self._websocket = websocket
        self._engine = engine
        self._persisted = persisted
        self._operations: dict[str, asyncio.Task[None]] = {}  # by the id of the client, which may use it again later
        self._tasks: set[asyncio.Task[None]] = set()  # also those that the client has completed and that have not ended

    async def run(self) -> None:
        """Serve the socket until it ends. Raises SocketClosed, WebSocketDisconnect."""
        caller = await self._authenticate(await self._receive_init())
        self._websocket.scope["state"][KEEP_CONNECTION]()
        try:
            with caller.services.streams.acquire(caller.viewer):
                await self._handle_messages(caller)
        except TooManyStreams as error:
            raise SocketClosed(CloseCode.TRY_AGAIN_LATER, error.message) from None

    async def _receive_init(self) -> Init:
        try:
            async with asyncio.timeout(INIT_SECONDS):
                while True:
                    match await self._receive():
                        case Init() as init:
                            return init
                        case Ping(payload=payload):
                            await self._send(_pong(payload))
                        case Subscribe():
                            raise SocketClosed(CloseCode.UNAUTHORIZED, "Unauthorized")
        except TimeoutError:
            raise SocketClosed(CloseCode.INIT_TIMEOUT, "Connection initialisation timeout") from None

    async def _authenticate(self, init: Init) -> Caller:
        credential = find_credential(init.payload, self._websocket.headers.get("authorization"))
        try:
            return await authenticate_caller(self._websocket, credential.authorization)
        except Unauthenticated as error:
            raise SocketClosed(CloseCode.FORBIDDEN, f"{credential.place}: {error.message}") from None
        except ServiceUnavailable as error:
            raise SocketClosed(CloseCode.TRY_AGAIN_LATER, error.message) from None

    async def _handle_messages(self, caller: Caller) -> None:
        """Serve messages until the client disconnects or its token expires."""
        await self._send({"type": "connection_ack"})
        try:
            async with asyncio.timeout(caller.seconds_left) as token_lifetime:
                while True:
                    await self._handle_message(caller)
        except TimeoutError:
            if not token_lifetime.expired():
                raise
            raise SocketClosed(CloseCode.FORBIDDEN, EXPIRED) from None
        finally:
            await cancel_and_wait(*self._tasks)

    async def _handle_message(self, caller: Caller) -> None:
        match await self._receive():
            case Init():
                raise SocketClosed(CloseCode.TOO_MANY_INITS, "Too many initialisation requests")
            case Ping(payload=payload):
                await self._send(_pong(payload))
            case Pong():
                return
            case Complete(id=operation_id):
                if operation := self._operations.pop(operation_id, None):
                    operation.cancel()
            case Subscribe() as message:
                await self._start_operation(message, caller)

    async def _start_operation(self, message: Subscribe, caller: Caller) -> None:
        if message.id in self._operations:
            raise SocketClosed(CloseCode.SUBSCRIBER_EXISTS, f"Subscriber for {message.id} already exists")
        if len(self._operations) >= MAX_OPERATIONS:
            error = LimitExceeded(f"A socket has {MAX_OPERATIONS} subscriptions at once at most.")
            await self._send_errors(message.id, [responses.error_payload(error, caller.request_id)])
            return
        task = self._operations[message.id] = asyncio.create_task(self._run_operation(message, caller))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_operation(self, message: Subscribe, caller: Caller) -> None:
        """Run a subscription to its end. The client cancels the task with `complete`, and nothing more is sent."""
        try:
            payloads = await self._subscribe(message, caller)
            if isinstance(payloads, list):
                await self._send_errors(message.id, payloads)
                return
            async with aclosing(payloads):
                async for payload in payloads:
                    await self._send({"id": message.id, "type": "next", "payload": orjson.Fragment(payload)})
            self._operations.pop(message.id, None)  # before the client may use the id again
            await self._send({"id": message.id, "type": "complete"})
        except _DISCONNECTED:
            return
        except Exception as error:  # noqa: BLE001 - otherwise the client would wait for ever
            with suppress(*_DISCONNECTED):
                errors = responses.stream_error_payload(error, caller.request_id)["errors"]
                await self._send_errors(message.id, errors)

    async def _subscribe(self, message: Subscribe, caller: Caller) -> AsyncGenerator[Payload] | list[dict[str, Any]]:
        """Return the payloads, or the errors that refuse the subscription."""
        try:
            request, prepared = await self._persisted.prepare(message.request, caller.viewer.id)
        except RequestError as error:
            return [responses.error_payload(error, caller.request_id)]
        log.info("subscription", operation=truncate(prepared.name))
        if prepared.kind not in (None, OperationType.SUBSCRIPTION):
            not_a_subscription = BadUserInput("By WebSocket only subscriptions are answered: POST everything else.")
            return [responses.error_payload(not_a_subscription, caller.request_id)]
        payloads = await subscribe(self._engine, prepared, request, caller)
        if isinstance(payloads, ExecutionResult):
            errors: list[dict[str, Any]] = responses.execution_payload(payloads, caller.request_id, 0)["errors"]
            return errors
        return payloads

    async def _send_errors(self, operation_id: str, errors: list[dict[str, Any]]) -> None:
        """Send errors, which end an operation."""
        if self._operations.get(operation_id) is asyncio.current_task():
            del self._operations[operation_id]
        await self._send({"id": operation_id, "type": "error", "payload": errors})

    async def _receive(self) -> ClientMessage:
        frame = await self._websocket.receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame["code"], frame.get("reason"))
        return parse_message(frame)

    async def _send(self, message: dict[str, Any]) -> None:
        await self._websocket.send({"type": "websocket.send", "text": orjson.dumps(message).decode()})


def _pong(payload: dict[str, Any] | None) -> dict[str, Any]:
    return {"type": "pong"} if payload is None else {"type": "pong", "payload": payload}
