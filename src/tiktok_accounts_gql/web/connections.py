"""How many connections a process has open, and which one has to go when there is no room for another.

Below the bound everybody is let in. At the bound the connection goes that has kept the server waiting for longest: first
of those that never sent a whole request, then of those that are idle between two. If all are busy, a few more are let in, but
for the probes alone; and beyond those, nobody.
"""

import asyncio
import resource
from enum import Enum, auto
from typing import Protocol

from tiktok_accounts_gql.settings import Settings

RESERVE = 32
FEWEST = 64
OWN_FILES = 256  # of TikTok's client (100), of the job engine, logs, listeners, libraries
IDLE_PATIENCE_SECONDS = 1.0  # a client that asks again and again is idle for moments
SWEEP_SECONDS = 0.25
NEVER = float("inf")


class Admitted(Enum):
    """What a new connection may do."""

    ASK = auto()
    PROBE = auto()
    NOTHING = auto()


class Connection(Protocol):
    """`deadline`, `waiting_since`: by the clock of the event loop, in seconds."""

    deadline: float
    waiting_since: float

    def pass_deadline(self) -> None:
        """Ends what takes too long."""

    def evict(self) -> None:
        """Closes without a word."""


class Connections:
    """Those of one process. `most`: that may ask; `reserve`: that may ask for probes besides."""

    def __init__(self, *, most: int, reserve: int = RESERVE) -> None:
        self._most = most
        self._reserve = reserve
        self.open: set[Connection] = set()
        self.silent: dict[Connection, None] = {}  # never sent a whole request; who waits for longest comes first
        self.idle: dict[Connection, None] = {}  # had an answer; in the same order

    def admit(self, connection: Connection, now: float) -> Admitted:
        """Counts a new connection in, unless there is no room at all."""
        if len(self.open) >= self._most and not self._evict(now):
            if len(self.open) >= self._most + self._reserve:
                return Admitted.NOTHING
            self.open.add(connection)
            return Admitted.PROBE
        self.open.add(connection)
        return Admitted.ASK

    def release(self, connection: Connection) -> None:
        self.open.discard(connection)
        self.silent.pop(connection, None)
        self.idle.pop(connection, None)

    def _evict(self, now: float) -> bool:
        for waiting, patience in ((self.silent, 0.0), (self.idle, IDLE_PATIENCE_SECONDS)):
            longest = next(iter(waiting), None)
            if longest is not None and now - longest.waiting_since >= patience:
                self.release(longest)
                longest.evict()
                return True
        return False

    async def watch(self) -> None:
        """Ends what is late, for as long as the process serves."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            for late in [one for one in self.open if one.deadline < now]:
                late.deadline = NEVER
                late.pass_deadline()


def most_connections(settings: Settings) -> int:
    """The setting, or what the files that the process may open leave, if that is less."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections
    if allowed == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(FEWEST, allowed - _files_needed(settings)))


def raise_files(settings: Settings) -> None:
    """Lets this process open as many files as its connections take, where the hard limit allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + _files_needed(settings)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _files_needed(settings: Settings) -> int:
    return OWN_FILES + 2 * settings.database_pool_size + RESERVE
