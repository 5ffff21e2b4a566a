"""HTTP/1.1 with limits: on the bytes of a head and a body, and on the time that a client may take for each.

The application is called when a request is complete, or larger than any that is accepted. So a client that sends slowly takes
up nothing but its connection.
"""

import asyncio
from typing import Any, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tiktok_accounts_gql.errors import BadUserInput, RequestError
from tiktok_accounts_gql.server import http_limits as limits
from tiktok_accounts_gql.server.error_responses import encode_error_response
from tiktok_accounts_gql.server.tcp import disable_nagle
from tiktok_accounts_gql.server.websocket_upgrade import encode_head_without_upgrade, find_upgrade_error
from tiktok_accounts_gql.server.write_timeout import WriteTimeout
from tiktok_accounts_gql.web.concurrency import CLIENT_DISCONNECTED, PROBES_ONLY, Overloaded
from tiktok_accounts_gql.web.connection_limits import NEVER, Admission, ConnectionLimiter
from tiktok_accounts_gql.web.graphql_requests import (
    BODY_TIMED_OUT,
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    BodyTooLarge,
    HeadTooLarge,
    RequestTimeout,
)


class HttpProtocol(WriteTimeout, HttpToolsProtocol):
    """One connection. `_allowed_bytes`: how many the head, or the body, may still have."""

    deadline = NEVER
    waiting_since = 0.0
    _allowed_bytes = MAX_HEAD_BYTES
    _in_head = False
    _is_lingering = False
    _is_stopping = False
    _probes_only = False
    _needs_deadline = False
    _is_upgrade = False
    _ignores_upgrade = False
    _chunks = 0
    _parser_error: RequestError | None = None
    _unstarted: tuple[RequestResponseCycle, Any] | None = None  # a request that is not complete, with its application

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        disable_nagle(transport)
        super().connection_made(transport)  # type: ignore[arg-type]
        self._limiter: ConnectionLimiter = self.app_state["connections"]
        self._waiting_list = self._limiter.silent
        self.waiting_since = now = self.loop.time()
        admission = self._limiter.admit(self, now)
        if admission is Admission.REFUSED:
            self.transport.abort()
            return
        self._probes_only = admission is Admission.PROBES
        self.deadline = now + (limits.PROBE_SECONDS if self._probes_only else limits.HEAD_SECONDS)
        if not self._probes_only:
            self._waiting_list[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._limiter.release(self)
        self._unstarted = None
        if self._is_responding:
            self.cycle.scope["state"][CLIENT_DISCONNECTED] = True

    @property
    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete and self._unstarted is None

    # Data from the client

    def data_received(self, data: bytes) -> None:
        if len(data) > self._allowed_bytes:
            self._receive_in_pieces(data)
            return
        self._feed(data)
        self._allowed_bytes -= len(data)
        if self._needs_deadline or self._unstarted is not None:
            self._check_incomplete()

    def _check_incomplete(self) -> None:
        """Set the deadline of an incomplete request, and start it if its body is too large: it is refused before its end."""
        if self._needs_deadline:
            self._needs_deadline = False
            self.deadline = self.loop.time() + (limits.HEAD_SECONDS if self._in_head else limits.BODY_SECONDS)
        if self._unstarted is not None and len(self.cycle.body) > MAX_BODY_BYTES:
            self._start()

    def _receive_in_pieces(self, data: bytes) -> None:
        """Feed the parser no more than is allowed: each head and body that begins in the data resets the limit."""
        while data and not self._is_lingering and not self.transport.is_closing():
            piece, data = data[: self._allowed_bytes], data[self._allowed_bytes :]
            self._feed(piece)
            self._allowed_bytes -= len(piece)
            if self.transport.get_protocol() is not self:  # it is a WebSocket now
                return
            self._check_incomplete()
            if self._allowed_bytes <= 0 and not self._is_lingering:
                self._refuse(HeadTooLarge() if self._in_head else BodyTooLarge())
        if self._is_lingering:
            self._linger_bytes -= len(data)
            if self._linger_bytes < 0:
                self.transport.abort()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(self._parser_error or BadUserInput("This is not HTTP/1.1."))
        except httptools.HttpParserUpgrade as upgrade:
            if not self._ignores_upgrade:
                self.handle_websocket_upgrade()
            else:
                self._continue_without_upgrade(data[upgrade.args[0] :])

    def _continue_without_upgrade(self, body: bytes) -> None:
        self._ignores_upgrade = False
        if self.parser.get_method() == b"CONNECT":
            self._refuse(BadUserInput("This is no proxy."))
            return
        head = encode_head_without_upgrade(self.parser, self.url, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self._feed(head)
        if body and not self._is_lingering:
            self._feed(body)

    def handle_websocket_upgrade(self) -> None:
        if error := find_upgrade_error(self.parser, self.url, self.headers):
            self._refuse(error)
        elif self._probes_only:
            self._refuse(Overloaded())
        else:
            self._limiter.release(self)
            super().handle_websocket_upgrade()

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._allowed_bytes = MAX_HEAD_BYTES
        self._in_head = True
        self._needs_deadline = self.cycle is not None or self._is_stopping  # the first head has one already

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._allowed_bytes = limits.MAX_DISCARDED_BYTES
        self._is_upgrade = self.parser.should_upgrade()
        if self._is_upgrade:
            self._ignores_upgrade = not self._should_upgrade()
            if not self._ignores_upgrade:
                super().on_headers_complete()
            return
        if len(self.pipeline) >= limits.MAX_PIPELINED:
            self._raise_in_parser(BadUserInput("Too many requests before the first one was answered."))
        self._needs_deadline = True
        if self._probes_only:
            self.scope["state"][PROBES_ONLY] = True
        super().on_headers_complete()
        self._chunks = 0
        if self._is_stopping or self._probes_only:
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        """Discard the headers: trailers follow the last chunk, and would be headers that no proxy has checked."""
        self.headers = []
        self._chunks += 1
        if self._chunks > limits.MAX_CHUNKS:
            self._raise_in_parser(BodyTooLarge("The request's body has too many chunks."))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Do what uvicorn's method does, with a limit."""
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        if len(self.headers) > MAX_HEADERS:
            self._raise_in_parser(HeadTooLarge())

    def on_message_complete(self) -> None:
        """Do what uvicorn's method does, and call the application."""
        if self._is_upgrade:
            return
        self._needs_deadline = False
        if self.cycle.response_complete:
            self.deadline = self.loop.time() + limits.KEEP_ALIVE_SECONDS
            return
        self.cycle.more_body = False
        self.cycle.message_event.set()
        self._waiting_list.pop(self, None)
        self.deadline = NEVER
        if self._unstarted is not None:
            self._start()

    def _raise_in_parser(self, error: RequestError) -> NoReturn:
        """Raise out of a callback. The parser replaces the exception by its own, so the error is stored for `_feed`."""
        self._parser_error = error
        raise error

    # The application

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if not cycle.more_body or len(cycle.body) > MAX_BODY_BYTES or limits.is_announced_too_large(cycle):
            super()._start_asgi_task(cycle, app)
            return
        self._unstarted = cycle, app
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _start(self) -> None:
        if self._unstarted is not None:
            cycle, app = self._unstarted
            self._unstarted = None
            super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Do what uvicorn's method does, with one deadline for the connection instead of timers."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self.waiting_since = now = self.loop.time()
        if not self._in_head:
            self.deadline = now + (limits.HEAD_SECONDS if self.cycle.more_body else limits.KEEP_ALIVE_SECONDS)
        self._waiting_list = self._limiter.idle
        self._waiting_list[self] = None

    # The end of the connection

    def evict(self) -> None:
        self.transport.abort()

    def pass_deadline(self) -> None:
        if self._is_lingering:
            self.transport.abort()
        elif self._in_head:
            self._refuse(RequestTimeout())
        elif self._unstarted is not None:
            cycle, _ = self._unstarted
            cycle.scope["state"][BODY_TIMED_OUT] = True
            cycle.keep_alive = cycle.more_body = False
            self._start()
        elif not self._is_responding:
            self.transport.close()

    def shutdown(self) -> None:
        if self._is_responding:
            super().shutdown()
            return
        self.app_state["stopping"].set()
        self._is_stopping = True
        self.deadline = min(self.deadline, self.loop.time() + limits.STOP_SECONDS)

    def _refuse(self, error: RequestError) -> None:
        """Send an error and keep reading for a while: a client that is still sending could not read the response otherwise."""
        if self._is_responding:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if self._is_lingering or self.transport.is_closing():
            return
        self._unstarted = None
        self.transport.write(encode_error_response(error))
        self.transport.write_eof()
        self._is_lingering, self._allowed_bytes, self._linger_bytes = True, -1, limits.LINGER_BYTES
        self.deadline = self.loop.time() + limits.LINGER_SECONDS
