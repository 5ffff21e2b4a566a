"""Starts and ends the processes that serve, so that no client notices an end.

The kernel accepts connections for as long as any process has the listening socket open. Whoever connects after the last look
of the last server is reset with it, and waits until then. So the supervisor closes its own copy before it ends the
others, and a server takes in what the kernel has accepted at the moment when it closes its copy.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from socket import socket
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from tiktok_accounts_gql.server import server_options
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.web.connections import raise_files


class Server(uvicorn.Server):
    """One process."""

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        await self._take_in(sockets or [])
        await super().shutdown(sockets)

    async def _take_in(self, sockets: list[socket]) -> None:
        """Stops listening, and serves those who have connected until then."""
        listening = [socket(fileno=os.dup(one.fileno())) for server in self.servers for one in server.sockets]
        for server in self.servers:
            server.close()
        for one in sockets:
            one.close()
        await asyncio.sleep(0)  # uvloop closes its own copies in the next round
        await asyncio.sleep(0)
        connected = [
            connection for one in listening for connection in _accept_all(one)
        ]  # nothing is awaited in between
        loop = asyncio.get_running_loop()
        for connection in connected:
            with suppress(OSError):  # it has gone again
                await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        create: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = create(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def _accept_all(listening: socket) -> list[socket]:
    """Those who have connected. It is closed right after the last of them."""
    with listening:
        listening.setblocking(False)
        return list(_accepted(listening))


def _accepted(listening: socket) -> Iterator[socket]:
    while True:
        try:
            connection, _ = listening.accept()
        except (BlockingIOError, OSError):
            return
        connection.setblocking(False)
        yield connection


class _Process(multiprocess.Process):
    """A process of the supervisor's, with a server of ours."""

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = Server(config=self.config)
        return self._server


class _Supervisor(multiprocess.Multiprocess):
    """Several processes."""

    def terminate_all(self) -> None:
        for one in self.sockets:
            one.close()
        super().terminate_all()


multiprocess.Process = _Process  # type: ignore[misc] # the supervisor makes them in four places


def run(app: str, settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serves until a signal ends it. `app`: `module:function` that creates the application."""
    raise_files(settings)
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
