"""A pooler between a process and PostgreSQL that takes LISTEN, and keeps to itself what comes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.engine import URL, make_url

from tests.support.backends import on_postgresql
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db import notifications
from tiktok_accounts_gql.db.change_versions import NotifyChangeVersions
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.events import Hub
from tiktok_accounts_gql.settings import Settings

NOTIFICATION = b"A"


async def _message(reader: asyncio.StreamReader) -> bytes:
    """A message of the protocol: its kind, its length, which counts itself, and the rest."""
    head = await reader.readexactly(5)
    return head + await reader.readexactly(int.from_bytes(head[1:], "big") - 4)


class Pooler:
    """`swallows`: messages of NOTIFY."""

    def __init__(self, url: URL) -> None:
        _, arguments = url.get_dialect()().create_connect_args(url)
        self._host, self._port = arguments.get("host", "127.0.0.1"), arguments.get("port", 5432)
        self._url = url
        self.swallows = True
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """In a task that is remembered until it is ended."""
        self._tasks.add(asyncio.ensure_future(self._forward(reader, writer)))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            there, to_there = await self._connect()
            asking = asyncio.create_task(self._ask(reader, to_there))
            with closing(to_there), suppress(asyncio.IncompleteReadError, ConnectionError):
                try:
                    while message := await _message(there):
                        if message[:1] != NOTIFICATION or not self.swallows:
                            writer.write(message)
                finally:
                    asking.cancel()

    async def _ask(self, reader: asyncio.StreamReader, to_there: asyncio.StreamWriter) -> None:
        with closing(to_there), suppress(ConnectionError):
            while data := await reader.read(65536):
                to_there.write(data)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if str(self._host).startswith("/"):
            return await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        return await asyncio.open_connection(self._host, self._port)

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[str]:
        server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        url = self._url.set(host="127.0.0.1", port=port, query={"sslmode": "disable"})
        yield url.render_as_string(hide_password=False)
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def marked(changes: NotifyChangeVersions) -> Any:
    async with asyncio.timeout(20):
        while (mark := changes.get("viewer")) is None:  # noqa: ASYNC110 - nothing says when
            await asyncio.sleep(0.01)
    return mark


@on_postgresql
async def test_what_is_never_heard_is_never_believed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "TIMEOUT", timedelta(seconds=0.5))
    changes, hub = NotifyChangeVersions(), Hub(clock=utc_now)
    pooler = Pooler(make_url(settings.database_url))
    async with pooler.listening() as url:
        heard = Notifications.open(url, hub=hub, changes=changes, clock=utc_now)
        listening = asyncio.create_task(heard.listen())
        for _ in range(150):
            assert changes.get("viewer") is None
            await asyncio.sleep(0.01)
        pooler.swallows = False
        assert await marked(changes) is not None
        listening.cancel()
        await asyncio.wait([listening])
        assert changes.get("viewer") is None
