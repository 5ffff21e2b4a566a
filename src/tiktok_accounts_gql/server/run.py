"""Starts and stops the server processes, so that no client notices a stop.

The kernel accepts connections as long as any process has the listening socket open. When the last process closes it, the kernel
resets the connections that no process has accepted. So the supervisor closes its own copy of the socket before it stops the
workers, and a worker accepts all waiting connections at the moment when it closes its copy.
"""

import asyncio
import os
import sys
from contextlib import suppress
from socket import socket
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from tiktok_accounts_gql.server import server_options
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.web.connection_limits import raise_file_limit


class Server(uvicorn.Server):
    """The server of one process."""

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        await self._accept_waiting(sockets or [])
        await super().shutdown(sockets)

    async def _accept_waiting(self, sockets: list[socket]) -> None:
        """Stop listening, and serve the connections that the kernel has accepted until then."""
        listeners = [socket(fileno=os.dup(each.fileno())) for server in self.servers for each in server.sockets]
        for server in self.servers:
            server.close()
        for listener in sockets:
            listener.close()
        await asyncio.sleep(0)  # uvloop closes its own copies in the next round
        await asyncio.sleep(0)
        # Nothing is awaited from the first accept until the last listener is closed.
        connections = [connection for listener in listeners for connection in _accept_all(listener)]
        loop = asyncio.get_running_loop()
        for connection in connections:
            with suppress(OSError):  # the client has disconnected
                await loop.connect_accepted_socket(self._create_protocol, connection)

    def _create_protocol(self) -> asyncio.Protocol:
        protocol_class: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = protocol_class(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def _accept_all(listener: socket) -> list[socket]:
    """Accept every waiting connection, and close the listener right after the last one."""
    connections: list[socket] = []
    with listener:
        listener.setblocking(False)
        while True:
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, OSError):
                return connections
            connection.setblocking(False)
            connections.append(connection)


class _Process(multiprocess.Process):
    """A worker process with the server above."""

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = Server(config=self.config)
        return self._server


class _Supervisor(multiprocess.Multiprocess):
    """A supervisor that closes its listening sockets before it stops the workers."""

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


multiprocess.Process = _Process  # type: ignore[misc] # the supervisor creates workers in four places


def run(app: str, settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until a signal stops the process. `app`: `module:function` that creates the application."""
    raise_file_limit(settings)
    config = uvicorn.Config(app, factory=True, host=host, port=port, workers=workers, **server_options(settings))
    if workers > 1:
        _Supervisor(config, sockets=[config.bind_socket()]).run()
        return
    config.load_app()
    server = Server(config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)
