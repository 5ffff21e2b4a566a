"""Another viewer, who lists accounts all the time during an attack: how much slower are the responses?

The requests are sent by a process of their own, so that neither the attack nor the test takes its time:

    async with served(…) as (server, api):
        with neighbour(api) as watched:
            before = watched.report()  # since the start, or since the last report
            …  # the attack, by another viewer
            during = watched.report()
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.support.server import Api

LIST = "query Neighbour { accounts(first: 20) { edges { node { id displayName followerCount } } } }"
EVERY = 0.005
STILL = float(
    os.environ.get("TEST_STILL_MS", "500")
)  # milliseconds for which the event loop may be blocked; 50 on a quiet machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The neighbour's response times, in milliseconds. A response that has not come yet counts with the time so far.

    `stood_still`: the slowest response of `/livez`, which waits for nothing but the event loop. `failed`: responses other than
    200, and broken connections.
    """

    asked: int
    failed: int
    p50: float
    p99: float
    slowest: float
    stood_still: float

    def __str__(self) -> str:
        times = f"p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms, slowest {self.slowest:.1f} ms"
        return f"{self.asked} lists, {self.failed} failed, {times}; the loop stood still for {self.stood_still:.1f} ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """The process that sends the requests."""

    asking: IO[str]
    answering: IO[str]

    def report(self, *, at_least: int = 1) -> Report:
        """Return what happened since the last report, after at least so many responses."""
        self.asking.write(f"{at_least}\n")
        self.asking.flush()
        return Report(**json.loads(self.answering.readline()))


@contextmanager
def neighbour(api: Api, *, query: str = LIST, every: float = EVERY) -> Iterator[Neighbour]:
    """Start a viewer who sends `query` every `every` seconds, on one connection."""
    arguments = json.dumps({"url": str(api.http.base_url), "token": api.token, "query": query, "every": every})
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.support.asker", arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Neighbour(asking=process.stdin, answering=process.stdout)
        finally:
            process.kill()
