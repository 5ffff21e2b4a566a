"""HTTP/1.1 with bounds: on the bytes of a head and of a body, and on how long a client may take for each.

The application is called once a request is whole, or larger than any that is answered: a client that drips takes nothing
but its connection.
"""

import asyncio
from socket import AF_UNIX, IPPROTO_TCP, TCP_NODELAY
from typing import Any, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tiktok_accounts_gql.errors import BadUserInput, RequestError
from tiktok_accounts_gql.server.patience import Patience
from tiktok_accounts_gql.server.refusals import written
from tiktok_accounts_gql.web.admission import CLIENT_GONE, PROBES_ONLY, Overloaded
from tiktok_accounts_gql.web.connections import NEVER, Admitted, Connections
from tiktok_accounts_gql.web.requests import MAX_BODY_BYTES, TOO_LATE, BodyTooLarge, HeadTooLarge, RequestTimeout

LARGEST_HEAD = 32 * 1024
MOST_HEADERS = 128
LARGEST_WIRE_BODY = 1024 * 1024  # what is too large is read and thrown away so far, that its answer can be read
LARGEST_WEBSOCKET_LINE = 8192 - 64  # of the library for WebSockets
MOST_PIPELINED = 16
MOST_CHUNKS = 4096
HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
# Longer than clients and load balancers keep a connection that is silent (5 to 60 s): who closes first must be they. A request
# that is sent while the server closes fails.
KEEP_ALIVE_SECONDS = 75.0
PROBE_SECONDS = 2.0
STOP_SECONDS = 0.3  # for requests that are on their way when the server stops
LINGER_SECONDS = 1.0
LINGER_BYTES = 256 * 1024


class HttpProtocol(Patience, HttpToolsProtocol):
    """One connection.

    `_left` counts down: the bytes that the head may still have, or the body.
    """

    deadline = NEVER
    waiting_since = 0.0
    _left = LARGEST_HEAD
    _in_head = False
    _lingering = False
    _stopping = False
    _probes_only = False
    _is_undated = False
    _is_upgrade = False
    _upgrade_ignored = False
    _chunks = 0
    _refusal: RequestError | None = None
    _unstarted: tuple[RequestResponseCycle, Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        _send_at_once(transport)
        super().connection_made(transport)  # type: ignore[arg-type]
        self._others: Connections = self.app_state["connections"]
        self._waiting_in = self._others.silent
        self.waiting_since = now = self.loop.time()
        admitted = self._others.admit(self, now)
        if admitted is Admitted.NOTHING:
            self.transport.abort()
            return
        self._probes_only = admitted is Admitted.PROBE
        self.deadline = now + (PROBE_SECONDS if self._probes_only else HEAD_SECONDS)
        if not self._probes_only:
            self._waiting_in[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._others.release(self)
        self._unstarted = None
        if self._busy:
            self.cycle.scope["state"][CLIENT_GONE] = True

    @property
    def _busy(self) -> bool:
        """Whether an answer is under way."""
        return self.cycle is not None and not self.cycle.response_complete and self._unstarted is None

    # What comes in

    def data_received(self, data: bytes) -> None:
        if len(data) > self._left:
            self._receive_much(data)
            return
        self._feed(data)
        self._left -= len(data)
        if self._is_undated or self._unstarted is not None:
            self._await_the_rest()

    def _await_the_rest(self) -> None:
        """Of what did not come whole. A body that is too large is refused before its end."""
        if self._is_undated:
            self._is_undated = False
            self.deadline = self.loop.time() + (HEAD_SECONDS if self._in_head else BODY_SECONDS)
        if self._unstarted is not None and len(self.cycle.body) > MAX_BODY_BYTES:
            self._start()

    def _receive_much(self, data: bytes) -> None:
        while data and not self._lingering and not self.transport.is_closing():
            piece, data = data[: self._left], data[self._left :]
            self._feed(piece)
            self._left -= len(piece)
            if self.transport.get_protocol() is not self:
                return
            self._await_the_rest()
            if self._left <= 0 and not self._lingering:
                self._refuse(HeadTooLarge() if self._in_head else BodyTooLarge())
        if self._lingering:
            self._linger(len(data))

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal or BadUserInput("This is not HTTP/1.1."))
        except httptools.HttpParserUpgrade as upgrade:
            if not self._upgrade_ignored:
                self.handle_websocket_upgrade()
            else:
                self._go_on_without_upgrade(data[upgrade.args[0] :])

    def _go_on_without_upgrade(self, body: bytes) -> None:
        """As if it had not been asked for. The parser would take the body for the next request."""
        self._upgrade_ignored = False
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            self._refuse(BadUserInput("This is no proxy."))
            return
        headers = [name + b": " + value + b"\r\n" for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self._feed(b"".join([method, b" ", self.url, b" HTTP/", version, b"\r\n", *headers, b"\r\n"]))
        if body and not self._lingering:
            self._feed(body)

    def handle_websocket_upgrade(self) -> None:
        lines = [len(self.url), *(len(name) + len(value) for name, value in self.headers)]
        if self.parser.get_method() != b"GET" or self.parser.get_http_version() != "1.1":
            self._refuse(BadUserInput("A WebSocket is opened by GET and HTTP/1.1."))
        elif len(lines) > MOST_HEADERS or max(lines) > LARGEST_WEBSOCKET_LINE:
            self._refuse(HeadTooLarge())
        elif self._probes_only:
            self._refuse(Overloaded())
        else:
            self._others.release(self)
            super().handle_websocket_upgrade()

    # What the parser finds

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._left = LARGEST_HEAD
        self._in_head = True
        self._is_undated = self.cycle is not None or self._stopping  # the first head has its deadline

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._left = LARGEST_WIRE_BODY
        self._is_upgrade = self.parser.should_upgrade()
        if self._is_upgrade:
            self._upgrade_ignored = not self._should_upgrade()
            if not self._upgrade_ignored:
                super().on_headers_complete()
            return
        if len(self.pipeline) >= MOST_PIPELINED:
            self._raise(BadUserInput("Too many requests before the first one was answered."))
        self._is_undated = True
        if self._probes_only:
            self.scope["state"][PROBES_ONLY] = True
        super().on_headers_complete()
        self._chunks = 0
        if self._stopping or self._probes_only:
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        """Trailers follow the last chunk: as headers they would be ones that no proxy has seen."""
        self.headers = []
        self._chunks += 1
        if self._chunks > MOST_CHUNKS:
            self._raise(BodyTooLarge("The request's body has too many chunks."))

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn's, with a bound."""
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        if len(self.headers) > MOST_HEADERS:
            self._raise(HeadTooLarge())

    def on_message_complete(self) -> None:
        """As uvicorn's, and the application is called."""
        if self._is_upgrade:
            return
        self._is_undated = False
        if self.cycle.response_complete:
            self.deadline = self.loop.time() + KEEP_ALIVE_SECONDS
            return
        self.cycle.more_body = False
        self.cycle.message_event.set()
        self._waiting_in.pop(self, None)
        self.deadline = NEVER
        if self._unstarted is not None:
            self._start()

    def _raise(self, refusal: RequestError) -> NoReturn:
        """Out of the parser."""
        self._refusal = refusal
        raise refusal

    # What the application does

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if not cycle.more_body or len(cycle.body) > MAX_BODY_BYTES or _is_announced_too_large(cycle):
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
        """As uvicorn's, but that a connection has one deadline at a time, and no timers."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self.waiting_since = now = self.loop.time()
        if not self._in_head:
            self.deadline = now + (HEAD_SECONDS if self.cycle.more_body else KEEP_ALIVE_SECONDS)
        self._waiting_in = self._others.idle
        self._waiting_in[self] = None

    # What ends it

    def evict(self) -> None:
        self.transport.abort()

    def pass_deadline(self) -> None:
        if self._lingering:
            self.transport.abort()
        elif self._in_head:
            self._refuse(RequestTimeout())
        elif self._unstarted is not None:
            cycle, _ = self._unstarted
            cycle.scope["state"][TOO_LATE] = True
            cycle.keep_alive = cycle.more_body = False
            self._start()
        elif not self._busy:
            self.transport.close()

    def shutdown(self) -> None:
        if self._busy:
            super().shutdown()
            return
        self.app_state["stopping"].set()
        self._stopping = True
        self.deadline = min(self.deadline, self.loop.time() + STOP_SECONDS)

    def _refuse(self, error: RequestError) -> None:
        """Answers, and goes on to read for a while: a client that still sends could not read the answer otherwise."""
        if self._busy:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if self._lingering or self.transport.is_closing():
            return
        self._unstarted = None
        self.transport.write(written(error))
        self.transport.write_eof()
        self._lingering, self._left, self._linger_left = True, -1, LINGER_BYTES
        self.deadline = self.loop.time() + LINGER_SECONDS

    def _linger(self, received: int) -> None:
        self._linger_left -= received
        if self._linger_left < 0:
            self.transport.abort()


def _is_announced_too_large(cycle: RequestResponseCycle) -> bool:
    """Whether a client that waits for "100 Continue" wants to send more than is read."""
    if not cycle.waiting_for_100_continue:
        return False
    return any(name == b"content-length" and int(value) > MAX_BODY_BYTES for name, value in cycle.scope["headers"])


def _send_at_once(transport: asyncio.BaseTransport) -> None:
    """Head and body of an answer are two writes.

    With Nagle's algorithm the second waits for the acknowledgement of the first, which a client delays by 40 ms. asyncio
    turns it off only where a socket was made with IPPROTO_TCP, and uvicorn's own listening sockets are not.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family != AF_UNIX:
        connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
