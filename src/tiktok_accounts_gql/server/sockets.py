"""WebSockets with a bound on what a client may say: so many frames at once, and so many a second."""

import asyncio
import logging

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from tiktok_accounts_gql.logs import WEBSOCKETS_LOGGER
from tiktok_accounts_gql.server.patience import Patience
from tiktok_accounts_gql.web.connections import NEVER, Connections
from tiktok_accounts_gql.web.sockets import KEEP

BURST = 50
FRAMES_A_SECOND = 10.0
TOO_MANY = 4429
PIECE = 4096
LINGER_SECONDS = 1.0
HANDSHAKE_SECONDS = 10.0


class SocketProtocol(Patience, WebSocketsSansIOProtocol):
    """One connection. The edge has the line of log about each; uvicorn's own would show the query, which may be a token.

    `_allowance`: frames that the client may send now; pings and pongs count as messages do.
    """

    deadline = NEVER
    waiting_since = 0.0
    _allowance = float(BURST)
    _counted_at = 0.0
    _flooded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.logger = self.conn.logger = logging.getLogger(WEBSOCKETS_LOGGER)
        super().connection_made(transport)
        self._counted_at = self.waiting_since = self.loop.time()
        self.deadline = self.waiting_since + HANDSHAKE_SECONDS
        self._others: Connections = self.app_state["connections"]
        self._others.open.add(self)
        self._others.silent[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._others.release(self)

    def data_received(self, data: bytes) -> None:
        """In pieces: a packet can hold tens of thousands of frames."""
        for start in range(0, len(data), PIECE):
            if self._flooded or self.transport.is_closing():
                return
            super().data_received(data[start : start + PIECE])

    def handle_connect(self, event: Request) -> None:
        self.deadline = NEVER
        super().handle_connect(event)
        if self.response.status_code == 101:  # noqa: PLR2004 - Switching Protocols
            self.scope["state"][KEEP] = self._keep

    def _keep(self) -> None:
        """From now on the connection does not go when there is no room for others."""
        self._others.silent.pop(self, None)

    def evict(self) -> None:
        self.transport.abort()

    def pass_deadline(self) -> None:
        self.transport.abort()

    # Frames

    def handle_text(self, event: Frame) -> None:
        if self._is_allowed():
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if self._is_allowed():
            super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        if self._is_allowed():
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self._is_allowed():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._is_allowed():
            super().handle_pong(event)

    def _is_allowed(self) -> bool:
        now = self.loop.time()
        self._allowance = min(BURST, self._allowance + (now - self._counted_at) * FRAMES_A_SECOND)
        self._counted_at = now
        self._allowance -= 1
        if self._allowance < 0 and not self._flooded:
            self._end_flood()
        return not self._flooded

    def _end_flood(self) -> None:
        self._flooded = True
        if not self.close_sent:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": TOO_MANY, "reason": "Too many messages"})
            self.conn.send_close(TOO_MANY, "Too many messages")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.scope["state"]["log"]["closed"] = str(TOO_MANY)
        self.deadline = self.loop.time() + LINGER_SECONDS  # the client has to read it, and may send all the while

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if not self.disconnected:
            self._wait()
