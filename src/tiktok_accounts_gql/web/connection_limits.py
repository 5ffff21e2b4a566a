"""Limits how many connections a process has open, and chooses one to close when there is no room for another.

Below the limit every connection is accepted. At the limit the one is closed that has kept the server waiting for longest: first
those that never sent a complete request, then those that are idle between two requests. If all are busy, a few more
connections are accepted for probes only, and beyond those none.
"""

import asyncio
import resource
from enum import Enum, auto
from typing import Protocol

from tiktok_accounts_gql.settings import Settings

PROBE_RESERVE = 32
MIN_CONNECTIONS = 64
OTHER_FILES = 256  # file descriptors of TikTok's client (100), the job engine, logs, listeners, libraries
MIN_IDLE_SECONDS = 1.0  # a client that sends one request after the other is idle for moments
SWEEP_SECONDS = 0.25
NEVER = float("inf")


class Admission(Enum):
    """What a new connection may be used for."""

    ANY_REQUEST = auto()
    PROBES = auto()
    REFUSED = auto()


class LimitedConnection(Protocol):
    """A connection that can be closed from outside. Times are those of the event loop, in seconds."""

    deadline: float
    waiting_since: float

    def pass_deadline(self) -> None:
        """Respond with a time-out, or close the connection."""

    def evict(self) -> None:
        """Close the connection without a response."""


class ConnectionLimiter:
    """The connections of one process: `max_connections` for requests, and `probe_reserve` more for probes only."""

    def __init__(self, *, max_connections: int, probe_reserve: int = PROBE_RESERVE) -> None:
        self._max_connections = max_connections
        self._probe_reserve = probe_reserve
        self.open: set[LimitedConnection] = set()
        # In the order in which they have been waiting, the longest first:
        self.silent: dict[LimitedConnection, None] = {}  # never sent a complete request
        self.idle: dict[LimitedConnection, None] = {}  # between two requests

    def admit(self, connection: LimitedConnection, now: float) -> Admission:
        """Add a new connection, unless it is refused."""
        if len(self.open) >= self._max_connections and not self._evict(now):
            if len(self.open) >= self._max_connections + self._probe_reserve:
                return Admission.REFUSED
            self.open.add(connection)
            return Admission.PROBES
        self.open.add(connection)
        return Admission.ANY_REQUEST

    def release(self, connection: LimitedConnection) -> None:
        self.open.discard(connection)
        self.silent.pop(connection, None)
        self.idle.pop(connection, None)

    def _evict(self, now: float) -> bool:
        """Close the connection that has waited for longest. Return whether there was one."""
        for connections, min_seconds in ((self.silent, 0.0), (self.idle, MIN_IDLE_SECONDS)):
            longest = next(iter(connections), None)
            if longest is not None and now - longest.waiting_since >= min_seconds:
                self.release(longest)
                longest.evict()
                return True
        return False

    async def watch_deadlines(self) -> None:
        """End connections whose deadline is over, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            for connection in [connection for connection in self.open if connection.deadline < now]:
                connection.deadline = NEVER
                connection.pass_deadline()


def max_connections(settings: Settings) -> int:
    """Return the setting, or less if the process may not open as many files."""
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft_limit == resource.RLIM_INFINITY:
        return settings.max_connections
    return min(settings.max_connections, max(MIN_CONNECTIONS, soft_limit - _other_files(settings)))


def raise_file_limit(settings: Settings) -> None:
    """Raise the soft limit of open files to what the connections need, as far as the hard limit allows it."""
    soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + _other_files(settings)
    if soft_limit == resource.RLIM_INFINITY or soft_limit >= needed:
        return
    new_limit = needed if hard_limit == resource.RLIM_INFINITY else min(needed, hard_limit)
    resource.setrlimit(resource.RLIMIT_NOFILE, (new_limit, hard_limit))


def _other_files(settings: Settings) -> int:
    return OTHER_FILES + 2 * settings.database_pool_size + PROBE_RESERVE
