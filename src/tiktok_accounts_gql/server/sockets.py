"""WebSockets with a rate limit on the frames of a client."""

import asyncio
import logging

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from tiktok_accounts_gql.logs import WEBSOCKETS_LOGGER
from tiktok_accounts_gql.server.write_timeout import WriteTimeout
from tiktok_accounts_gql.web.connection_limits import NEVER, ConnectionLimiter
from tiktok_accounts_gql.web.sockets import KEEP_CONNECTION

MAX_BURST = 50  # frames
FRAMES_PER_SECOND = 10.0
TOO_MANY_MESSAGES = 4429  # close code
CHUNK_BYTES = 4096
SWITCHING_PROTOCOLS = 101
LINGER_SECONDS = 1.0
HANDSHAKE_SECONDS = 10.0


class SocketProtocol(WriteTimeout, WebSocketsSansIOProtocol):
    """One connection.

    Uvicorn's own line in the log is turned off, because it has the query string, which may contain a token; RequestMiddleware
    logs each connection. `_tokens`: the token bucket, that is the number of frames that the client may send now; pings and
    pongs count as messages do.
    """

    deadline = NEVER
    waiting_since = 0.0
    _tokens = float(MAX_BURST)
    _refilled_at = 0.0
    _is_flooded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.logger = self.conn.logger = logging.getLogger(WEBSOCKETS_LOGGER)
        super().connection_made(transport)
        self._refilled_at = self.waiting_since = self.loop.time()
        self.deadline = self.waiting_since + HANDSHAKE_SECONDS
        self._limiter: ConnectionLimiter = self.app_state["connections"]
        self._limiter.open.add(self)
        self._limiter.silent[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._limiter.release(self)

    def data_received(self, data: bytes) -> None:
        """Parse the data in chunks and stop at a flood: a packet can have tens of thousands of frames."""
        for start in range(0, len(data), CHUNK_BYTES):
            if self._is_flooded or self.transport.is_closing():
                return
            super().data_received(data[start : start + CHUNK_BYTES])

    def handle_connect(self, event: Request) -> None:
        self.deadline = NEVER
        super().handle_connect(event)
        if self.response.status_code == SWITCHING_PROTOCOLS:
            self.scope["state"][KEEP_CONNECTION] = self._keep_connection

    def _keep_connection(self) -> None:
        """Stop counting as silent, so that the connection is not evicted when there are too many."""
        self._limiter.silent.pop(self, None)

    def evict(self) -> None:
        self.transport.abort()

    def pass_deadline(self) -> None:
        self.transport.abort()

    # Frames: each handler of uvicorn's takes a token first

    def handle_text(self, event: Frame) -> None:
        if self._take_token():
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if self._take_token():
            super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        if self._take_token():
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self._take_token():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._take_token():
            super().handle_pong(event)

    def _take_token(self) -> bool:
        now = self.loop.time()
        self._tokens = min(MAX_BURST, self._tokens + (now - self._refilled_at) * FRAMES_PER_SECOND)
        self._refilled_at = now
        self._tokens -= 1
        if self._tokens < 0 and not self._is_flooded:
            self._close_flooded()
        return not self._is_flooded

    def _close_flooded(self) -> None:
        self._is_flooded = True
        if not self.close_sent:
            self.queue.put_nowait(
                {"type": "websocket.disconnect", "code": TOO_MANY_MESSAGES, "reason": "Too many messages"}
            )
            self.conn.send_close(TOO_MANY_MESSAGES, "Too many messages")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.scope["state"]["log"]["closed"] = str(TOO_MANY_MESSAGES)
        self.deadline = (
            self.loop.time() + LINGER_SECONDS
        )  # time for the client to read the close frame; it may still send

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if not self.disconnected:
            self._start_write_timer()
