"""What every answer has, whatever it answers: a request id, security headers, one line of log, and JSON for failures."""

import re
import sys
import time
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import structlog
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from tiktok_accounts_gql import logs
from tiktok_accounts_gql.db.migrate import NotMigrated
from tiktok_accounts_gql.errors import AppError, BadUserInput
from tiktok_accounts_gql.logs import truncate
from tiktok_accounts_gql.web import answers
from tiktok_accounts_gql.web.hosts import own_hosts

REQUEST_ID = "X-Request-ID"
REQUEST_ID_BYTES = REQUEST_ID.lower().encode()
_FIT_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
UNEXPECTED = 4500
PROBES = frozenset({"/livez", "/readyz", "/metrics"})  # asked by address: they tell a page of a foreign name nothing
_STARTS = {"http.response.start", "websocket.http.response.start", "websocket.accept"}
HEADERS = [  # unless the answer has its own; names in the small letters of ASGI
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"cache-control", b"no-store"),
    (b"vary", b"Origin"),
]
_NAMES = frozenset(dict(HEADERS))
_SINGLE = (b"host", b"authorization")

log = structlog.get_logger()


def request_id(connection: HTTPConnection) -> str:
    """The one that the client sent, if it is fit to be repeated; else a new one."""
    found: str = connection.scope["state"]["request_id"]
    return found


def client_address(connection: HTTPConnection) -> str | None:
    """The address that a request is from, or None: what a proxy forwards may be anything."""
    client = connection.scope.get("client")
    return _address(client[0]) if client else None


@lru_cache(maxsize=4096)
def _address(host: str) -> str | None:
    try:
        return None if "%" in host else str(ip_address(host))
    except ValueError:
        return None


def annotate(connection: HTTPConnection, name: str, value: str | None) -> None:
    """Adds to the request's line of log, briefly."""
    connection.scope["state"]["log"][name] = truncate(value)


class Edge:
    """The outermost layer. `observe` is told how long requests by HTTP waited for their answers, in seconds."""

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str], observe: Callable[[float], None] = lambda _: None
    ) -> None:
        self._app = app
        self._is_own = own_hosts(hosts)
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, lambda message: send(_in_one_line(message)))
            return
        headers = dict(scope["headers"])
        served = self._is_own(headers.get(b"host", b"")) or scope["path"] in PROBES
        app = self._app if served else _foreign_host
        if len(headers) != len(scope["headers"]) and _has_doubles(scope):
            app = _doubled
        await _Exchange(scope, send, self._observe, headers.get(REQUEST_ID_BYTES, b"")).run(app, receive)


def _has_doubles(scope: Scope) -> bool:
    """Whether two parts of the way here could each believe another Host or Authorization."""
    names = [name for name, _ in scope["headers"]]
    return any(names.count(name) > 1 for name in _SINGLE)


def _in_one_line(message: Message) -> Message:
    """A start that fails for a cause that an operator can mend says so, without a traceback."""
    cause = sys.exception()
    if message["type"] == "lifespan.startup.failed" and isinstance(cause, (AppError, NotMigrated, OSError)):
        return {**message, "message": str(cause)}
    return message


async def _foreign_host(scope: Scope, receive: Receive, send: Send) -> None:
    error = BadUserInput("This server does not serve the host that the request is for.")
    await answers.refusal(error, scope["state"]["request_id"])(scope, receive, send)


async def _doubled(scope: Scope, receive: Receive, send: Send) -> None:
    error = BadUserInput("A request has one Host and one Authorization at most.")
    await answers.refusal(error, scope["state"]["request_id"])(scope, receive, send)


class _Exchange:
    """One request and its answer; or a WebSocket from its handshake to its end."""

    def __init__(self, scope: Scope, send: Send, observe: Callable[[float], None], sent_id: bytes) -> None:
        self._id = sent_id.decode() if _FIT_REQUEST_ID.fullmatch(sent_id) else uuid7().hex
        self._facts: dict[str, Any] = {"method": scope.get("method", "WEBSOCKET"), "path": truncate(scope["path"])}
        self._status = 0
        self._began = time.perf_counter()
        self._observe = observe
        self._send = send
        self._scope = scope
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["request_id"], state["log"] = self._id, self._facts

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        outer = logs.request_id.set(self._id)
        try:
            await app(self._scope, receive, self._dressed)
        except Exception as error:  # noqa: BLE001 - the last place where it can become an answer
            await self._fail(error, receive)
        finally:
            duration = round((time.perf_counter() - self._began) * 1000, 1)
            log.info("request", status=self._status, duration_ms=duration, **self._facts)
            logs.request_id.reset(outer)

    async def _fail(self, error: Exception, receive: Receive) -> None:
        response = answers.failure(error, self._id)
        if self._status == 0:
            await response(self._scope, receive, self._dressed)
        elif self._scope["type"] == "websocket":
            with suppress(Exception):  # it may be closed
                await self._send({"type": "websocket.close", "code": UNEXPECTED})

    async def _dressed(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._observe(time.perf_counter() - self._began)
        if message["type"] in _STARTS:
            self._status = message.get("status", 101)
            own = dict(message.get("headers", ()))
            added = HEADERS if _NAMES.isdisjoint(own) else [one for one in HEADERS if one[0] not in own]
            message["headers"] = [*message.get("headers", ()), *added, (REQUEST_ID_BYTES, self._id.encode())]
        await self._send(message)
