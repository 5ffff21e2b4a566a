"""Another viewer, who lists accounts all the time while somebody attacks: what does that viewer notice?

A process of its own asks, so that neither the attack nor the test takes its time:

    async with served(…) as (server, api):
        with neighbour(api) as watched:
            before = watched.report()  # since it began, or since the last report
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
STILL = float(os.environ.get("TEST_STILL_MS", "500"))  # how long the loop may stand still; 50 where nothing else runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A neighbour's answers, in milliseconds. One that is still awaited counts with the time so far.

    `stood_still`: how long the slowest answer of `/livez` took, which waits for nothing but the event loop.
    `failed`: answers other than 200, and connections that broke.
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
    """The process that asks."""

    asking: IO[str]
    answering: IO[str]

    def report(self, *, at_least: int = 1) -> Report:
        """What happened since the last report; waits for so many answers."""
        self.asking.write(f"{at_least}\n")
        self.asking.flush()
        return Report(**json.loads(self.answering.readline()))


@contextmanager
def neighbour(api: Api, *, query: str = LIST, every: float = EVERY) -> Iterator[Neighbour]:
    """A viewer who asks `query` every `every` seconds, on one connection that is kept."""
    told = json.dumps({"url": str(api.http.base_url), "token": api.token, "query": query, "every": every})
    here = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.support.asker", told]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=here) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Neighbour(asking=process.stdin, answering=process.stdout)
        finally:
            process.kill()
