"""The outermost ASGI middleware: request id, security headers, a line in the log, and JSON for failures, for every response."""

import re
import sys
import time
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import suppress
from functools import lru_cache, partial
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
from tiktok_accounts_gql.web import responses
from tiktok_accounts_gql.web.allowed_hosts import build_host_check

REQUEST_ID = "X-Request-ID"
REQUEST_ID_BYTES = REQUEST_ID.lower().encode()
_VALID_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
WEBSOCKET_FAILED = 4500  # close code
# Probes call by IP address, so with a Host of their own. They tell a page of another host (DNS rebinding) nothing.
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
_RESPONSE_STARTS = {"http.response.start", "websocket.http.response.start", "websocket.accept"}
HEADERS = [  # unless the response has its own; names in lower case, as ASGI has them
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"cache-control", b"no-store"),
    (b"vary", b"Origin"),
]
_HEADER_NAMES = frozenset(dict(HEADERS))
_SINGLE_HEADERS = (b"host", b"authorization")

log = structlog.get_logger()


def request_id(connection: HTTPConnection) -> str:
    """Return the id that the client sent if it is valid, otherwise the one that was generated."""
    value: str = connection.scope["state"]["request_id"]
    return value


def client_address(connection: HTTPConnection) -> str | None:
    """Return the client's IP address; None if a proxy forwarded something else."""
    client = connection.scope.get("client")
    return _to_ip_address(client[0]) if client else None


@lru_cache(maxsize=4096)
def _to_ip_address(host: str) -> str | None:
    try:
        return None if "%" in host else str(ip_address(host))
    except ValueError:
        return None


def add_log_field(connection: HTTPConnection, name: str, value: str | None) -> None:
    """Add a field to the line that is logged for this request; a long value is cut."""
    connection.scope["state"]["log"][name] = truncate(value)


class RequestMiddleware:
    """Handles every request. `hosts`: the allowed values of Host. `observe`: called with the seconds until a response starts."""

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str], observe: Callable[[float], None] = lambda _: None
    ) -> None:
        self._app = app
        self._is_allowed_host = build_host_check(hosts)
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, lambda message: send(_shorten_startup_failure(message)))
            return
        headers = dict(scope["headers"])
        app = self._app
        if not self._is_allowed_host(headers.get(b"host", b"")) and scope["path"] not in PROBES:
            app = partial(_refuse, "This server does not serve the host that the request is for.")
        if len(headers) != len(scope["headers"]):
            # With two values a proxy and this server could each trust another one.
            names = [name for name, _ in scope["headers"]]
            if any(names.count(name) > 1 for name in _SINGLE_HEADERS):
                app = partial(_refuse, "A request has one Host and one Authorization at most.")
        await _RequestCycle(scope, send, self._observe, headers.get(REQUEST_ID_BYTES, b"")).run(app, receive)


def _shorten_startup_failure(message: Message) -> Message:
    """Replace the traceback by one line if the cause is one that an operator can fix."""
    cause = sys.exception()
    if message["type"] == "lifespan.startup.failed" and isinstance(cause, (AppError, NotMigrated, OSError)):
        return {**message, "message": str(cause)}
    return message


async def _refuse(message: str, scope: Scope, receive: Receive, send: Send) -> None:
    await responses.error_response(BadUserInput(message), scope["state"]["request_id"])(scope, receive, send)


class _RequestCycle:
    """One request and its response, or a WebSocket from its handshake to its close."""

    def __init__(self, scope: Scope, send: Send, observe: Callable[[float], None], client_request_id: bytes) -> None:
        is_valid = _VALID_REQUEST_ID.fullmatch(client_request_id)
        self._request_id = client_request_id.decode() if is_valid else uuid7().hex
        self._log_fields: dict[str, Any] = {"method": scope.get("method", "WEBSOCKET"), "path": truncate(scope["path"])}
        self._status = 0
        self._started_at = time.perf_counter()
        self._observe = observe
        self._send = send
        self._scope = scope
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["request_id"], state["log"] = self._request_id, self._log_fields

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        token = logs.request_id.set(self._request_id)
        try:
            await app(self._scope, receive, self._add_headers)
        except Exception as error:  # noqa: BLE001 - the last place where it can become a response
            await self._send_failure(error, receive)
        finally:
            duration = round((time.perf_counter() - self._started_at) * 1000, 1)
            log.info("request", status=self._status, duration_ms=duration, **self._log_fields)
            logs.request_id.reset(token)

    async def _send_failure(self, error: Exception, receive: Receive) -> None:
        response = responses.exception_response(error, self._request_id)
        if self._status == 0:
            await response(self._scope, receive, self._add_headers)
        elif self._scope["type"] == "websocket":
            with suppress(Exception):  # it may be closed
                await self._send({"type": "websocket.close", "code": WEBSOCKET_FAILED})

    async def _add_headers(self, message: Message) -> None:
        """Send a message; the one that starts the response gets the headers, and its status is noted for the log."""
        if message["type"] == "http.response.start":
            self._observe(time.perf_counter() - self._started_at)
        if message["type"] in _RESPONSE_STARTS:
            self._status = message.get("status", 101)
            sent = dict(message.get("headers", ()))
            is_default = _HEADER_NAMES.isdisjoint(sent)
            headers = HEADERS if is_default else [(name, value) for name, value in HEADERS if name not in sent]
            message["headers"] = [*message.get("headers", ()), *headers, (REQUEST_ID_BYTES, self._request_id.encode())]
        await self._send(message)
