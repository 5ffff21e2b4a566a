"""Subscriptions over WebSocket: the subprotocol `graphql-transport-ws`.

Each operation is a task that asks for the next event when the last one was sent. What happens meanwhile becomes one in its
subscription, so a client that reads slowly costs no memory, and gets the latest state. One that does not read at all is
let go of by the server below (`server/`), which also closes sockets with 1012 when it is about to stop.
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
from tiktok_accounts_gql.web import answers
from tiktok_accounts_gql.web.caller import Caller, identify
from tiktok_accounts_gql.web.edge import annotate, request_id
from tiktok_accounts_gql.web.live import EXPIRED, Payload, subscribe
from tiktok_accounts_gql.web.messages import (
    PROTOCOL,
    ClientMessage,
    Closed,
    Complete,
    Init,
    Ping,
    Pong,
    Subscribe,
    read,
)
from tiktok_accounts_gql.web.persisted_queries import PersistedQueries
from tiktok_accounts_gql.web.requests import ForeignOrigin
from tiktok_accounts_gql.web.sign_in import find_credential

INIT_SECONDS = 10.0
TRY_AGAIN_LATER = 1013
KEEP = "keep_connection"  # in a scope's state: tells the server that somebody has signed in on the connection
MOST_OPERATIONS = 20
_GONE = (WebSocketDisconnect, WebSocketDisconnected)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketEndpoint:
    """`origins`: those whose pages may connect. A client that is no page sends none."""

    engine: Engine
    persisted: PersistedQueries
    origins: Collection[str]

    async def handle(self, websocket: WebSocket) -> None:
        origin = websocket.headers.get("origin")
        if origin is not None and origin not in self.origins:
            await websocket.send_denial_response(answers.refusal(ForeignOrigin(), request_id(websocket)))
            return
        if PROTOCOL not in websocket.scope["subprotocols"]:
            await websocket.accept()
            await _close(websocket, Closed(4406, "Subprotocol not acceptable"))
            return
        await websocket.accept(subprotocol=PROTOCOL)
        try:
            await _Socket(websocket, self.engine, self.persisted).run()
        except Closed as closed:
            await _close(websocket, closed)
        except _GONE:
            return


async def _close(websocket: WebSocket, closed: Closed) -> None:
    annotate(websocket, "closed", str(closed.code))
    with suppress(*_GONE):
        await websocket.close(closed.code, closed.reason)


class _Socket:
    """One connection, from its acceptance to its end."""

    def __init__(self, websocket: WebSocket, engine: Engine, persisted: PersistedQueries) -> None:
        self._websocket = websocket
        self._engine = engine
        self._persisted = persisted
        self._operations: dict[str, asyncio.Task[None]] = {}  # by the id that the client gave, which it may use again
        self._tasks: set[asyncio.Task[None]] = set()  # those that are completed and have not ended yet as well

    async def run(self) -> None:
        """Until the client goes. Raises Closed, WebSocketDisconnect."""
        caller = await self._identify(await self._initialised())
        self._websocket.scope["state"][KEEP]()
        try:
            with caller.services.streams.acquire(caller.viewer):
                await self._converse(caller)
        except TooManyStreams as error:
            raise Closed(TRY_AGAIN_LATER, error.message) from None

    async def _converse(self, caller: Caller) -> None:
        await self._send({"type": "connection_ack"})
        try:
            async with asyncio.timeout(caller.seconds_left) as life:
                while True:
                    await self._obey(caller)
        except TimeoutError:
            if not life.expired():
                raise
            raise Closed(4403, EXPIRED) from None
        finally:
            await cancel_and_wait(*self._tasks)

    async def _initialised(self) -> Init:
        try:
            async with asyncio.timeout(INIT_SECONDS):
                while True:
                    match await self._receive():
                        case Init() as init:
                            return init
                        case Ping(payload=payload):
                            await self._send(_pong(payload))
                        case Subscribe():
                            raise Closed(4401, "Unauthorized")
        except TimeoutError:
            raise Closed(4408, "Connection initialisation timeout") from None

    async def _identify(self, init: Init) -> Caller:
        credential = find_credential(init.payload, self._websocket.headers.get("authorization"))
        try:
            return await identify(self._websocket, credential.authorization)
        except Unauthenticated as error:
            raise Closed(4403, f"{credential.place}: {error.message}") from None
        except ServiceUnavailable as error:
            raise Closed(TRY_AGAIN_LATER, error.message) from None

    async def _obey(self, caller: Caller) -> None:
        match await self._receive():
            case Init():
                raise Closed(4429, "Too many initialisation requests")
            case Ping(payload=payload):
                await self._send(_pong(payload))
            case Pong():
                return
            case Complete(id=one):
                if operation := self._operations.pop(one, None):
                    operation.cancel()
            case Subscribe() as message:
                await self._begin(message, caller)

    async def _begin(self, message: Subscribe, caller: Caller) -> None:
        one = message.id
        if one in self._operations:
            raise Closed(4409, f"Subscriber for {one} already exists")
        if len(self._operations) >= MOST_OPERATIONS:
            limit = LimitExceeded(f"A socket has {MOST_OPERATIONS} subscriptions at once at most.")
            await self._refuse(one, [answers.said(limit, caller.request_id)])
            return
        task = self._operations[one] = asyncio.create_task(self._operate(message, caller))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _operate(self, message: Subscribe, caller: Caller) -> None:
        """One subscription. Says nothing more once it was completed by the client."""
        try:
            payloads = await self._subscribed(message, caller)
            if isinstance(payloads, list):
                await self._refuse(message.id, payloads)
                return
            async with aclosing(payloads):
                async for payload in payloads:
                    await self._send({"id": message.id, "type": "next", "payload": orjson.Fragment(payload)})
            self._operations.pop(message.id, None)  # before the client may use the id again
            await self._send({"id": message.id, "type": "complete"})
        except _GONE:
            return
        except Exception as error:  # noqa: BLE001 - nobody else would tell the client
            with suppress(*_GONE):
                await self._refuse(message.id, answers.broken_off(error, caller.request_id)["errors"])

    async def _subscribed(self, message: Subscribe, caller: Caller) -> AsyncGenerator[Payload] | list[dict[str, Any]]:
        """The payloads, or errors."""
        try:
            asked, prepared = await self._persisted.prepare(message.asked, caller.viewer.id)
        except RequestError as error:
            return [answers.said(error, caller.request_id)]
        log.info("subscription", operation=truncate(prepared.name))
        if prepared.kind not in (None, OperationType.SUBSCRIPTION):
            mistake = BadUserInput("By WebSocket only subscriptions are answered: POST everything else.")
            return [answers.said(mistake, caller.request_id)]
        begun = await subscribe(self._engine, prepared, asked, caller)
        return answers.payload(begun, caller.request_id, 0)["errors"] if isinstance(begun, ExecutionResult) else begun

    async def _refuse(self, one: str, errors: list[dict[str, Any]]) -> None:
        task = self._operations.get(one)
        if task is asyncio.current_task():
            del self._operations[one]
        await self._send({"id": one, "type": "error", "payload": errors})

    async def _receive(self) -> ClientMessage:
        frame = await self._websocket.receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame["code"], frame.get("reason"))
        return read(frame)

    async def _send(self, message: dict[str, Any]) -> None:
        await self._websocket.send({"type": "websocket.send", "text": orjson.dumps(message).decode()})


def _pong(payload: dict[str, Any] | None) -> dict[str, Any]:
    return {"type": "pong"} if payload is None else {"type": "pong", "payload": payload}
