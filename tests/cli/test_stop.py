"""A stop that no client notices: those that connect meanwhile are answered, or refused at once."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.processes import run
from tests.cli.serving import environment_variables, run_server
from tests.support.backends import on_postgresql, on_sqlite
from tiktok_accounts_gql.settings import Settings

pytestmark = [pytest.mark.untraced, pytest.mark.proof]

STOPS = int(os.environ.get("TEST_STOPS", "1"))
CLIENT_COUNT = 4
MAX_SECONDS = 0.5
REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Clients:
    """Clients that connect all the time, in threads, and count the outcomes."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.outcomes: Counter[str] = Counter()
        self.longest = 0.0
        self._address = address
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._connect_repeatedly) for _ in range(CLIENT_COUNT)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _connect_repeatedly(self) -> None:
        while not self._ended.is_set():
            started_at = time.monotonic()
            outcome = self._connect_once()
            self.longest = max(self.longest, time.monotonic() - started_at)
            self.outcomes[outcome] += 1
            time.sleep(0.001)

    def _connect_once(self) -> str:
        with socket.socket() as connection:
            connection.settimeout(10)
            try:
                connection.connect(self._address)
            except OSError:
                return "refused"
            try:
                connection.sendall(REQUEST)
                return "answered" if connection.recv(4096).startswith(b"HTTP/1.1 200") else "closed"
            except TimeoutError:
                return "hung"
            except OSError:
                return "reset"


async def stop_once(folder: Path, settings: Settings, *options: str) -> Clients:
    """Stop a server, with clients before, during and after."""
    folder.mkdir()  # noqa: ASYNC240 - of a test
    async with run_server(folder, settings, "nobody", *options) as (server, api):
        url = api.http.base_url
        assert url.port is not None
        if options:
            server.wait_for(
                lambda lines: lines if lines.count("Application startup complete.") == 2 else None, server.err
            )
        clients = Clients((url.host, url.port))
        await asyncio.sleep(0.3)
        ended = await asyncio.to_thread(server.end, signal.SIGTERM, seconds=20)
        await asyncio.sleep(0.1)
        clients.end()
        assert ended == 0
        assert "Traceback" not in server.err.read_text()
    return clients


async def stop_again_and_again(folder: Path, settings: Settings, *options: str) -> None:
    assert run(folder, "migrate", env=environment_variables(settings)).returncode == 0
    outcomes: Counter[str] = Counter()
    longest = 0.0
    for number in range(STOPS):
        clients = await stop_once(folder / str(number), settings, *options)
        assert clients.outcomes["refused"]
        outcomes += clients.outcomes
        longest = max(longest, clients.longest)
    print(f"{STOPS} stops: {dict(outcomes)}, the longest request {longest:.2f} s")  # noqa: T201
    assert outcomes.keys() <= {"answered", "refused"}
    assert longest < MAX_SECONDS


@on_postgresql
async def test_no_client_hangs_or_is_cut_off_while_two_workers_stop(own_settings: Settings, tmp_path: Path) -> None:
    await stop_again_and_again(tmp_path, own_settings, "--workers", "2")


@on_sqlite
async def test_no_client_hangs_or_is_cut_off_while_one_process_stops(own_settings: Settings, tmp_path: Path) -> None:
    await stop_again_and_again(tmp_path, own_settings)
