"""How uvicorn is run, wherever the API is served.

Uvicorn waits for ever for a client that reads nothing of what is sent: closing a connection means to send the rest first.
Such a client is let go of here. And what goes on without an end of its own is told when the server is about to stop.
"""

import asyncio
import logging
from socket import AF_UNIX, IPPROTO_TCP, TCP_NODELAY
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tiktok_accounts_gql.logs import SOCKETS
from tiktok_accounts_gql.settings import Settings

LARGEST_MESSAGE = 64 * 1024

# Longer than clients and load balancers keep a connection that is silent (5 to 60 s): who closes first must be they. A request
# that is sent while the server closes fails.
KEEP_ALIVE_SECONDS = 75


class _Patience:
    """For how many seconds a connection waits for a client that does not read."""

    patience: ClassVar[float] = 30
    transport: asyncio.Transport
    app_state: dict[str, Any]
    _waiting: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        self._wait()

    def resume_writing(self) -> None:
        super().resume_writing()  # type: ignore[misc]
        if not self.transport.is_closing():
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)  # type: ignore[misc]
        self._wait_no_more()

    def shutdown(self) -> None:
        if "stopping" in self.app_state:
            self.app_state["stopping"].set()
        super().shutdown()  # type: ignore[misc]
        if self._waiting is not None:
            self.transport.abort()

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(self.patience, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


class HttpProtocol(_Patience, HttpToolsProtocol):
    """HTTP/1.1.

    Head and body of an answer are two writes. With Nagle's algorithm the second waits for the acknowledgement of the first,
    which a client delays by 40 ms. asyncio turns it off only where a socket was made with IPPROTO_TCP, and uvicorn's own
    listening sockets are not.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family != AF_UNIX:
            connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        super().connection_made(transport)  # type: ignore[arg-type]


class SocketProtocol(_Patience, WebSocketsSansIOProtocol):
    """WebSocket. The edge has the line of log about each; uvicorn's own would show the query, which may be a token."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.logger = self.conn.logger = logging.getLogger(SOCKETS)
        super().connection_made(transport)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if not self.disconnected:
            self._wait()


def server_options(settings: Settings) -> dict[str, Any]:
    return {
        "loop": "uvloop",
        "http": "tiktok_accounts_gql.server:HttpProtocol",
        "ws": "tiktok_accounts_gql.server:SocketProtocol",
        "ws_max_size": LARGEST_MESSAGE,
        "ws_per_message_deflate": False,  # its memory for each connection is worth more than the bytes
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "forwarded_allow_ips": list(settings.trusted_proxies),
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": settings.shutdown_seconds,
    }
