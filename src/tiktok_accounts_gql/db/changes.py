"""Whether a viewer's accounts have changed since they were read.

A mark is taken before the reading. As long as a later mark equals it, what was read is what would be read again. The
database tells of changes by triggers (`migrations/account_changes.py`), so no writer can forget to:

- On SQLite it counts them, and the count is the mark: true at once, whichever process has changed something.
- On PostgreSQL it sends messages. Here, they are counted as they are heard, and those of this process' own commits before
  their answers leave. A process that does not hear has no marks.
"""

import sqlite3
import time
from array import array
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from sqlalchemy.engine import make_url

from tiktok_accounts_gql.events import hash_viewer

Mark = tuple[int, int]

# A connection may be lost without a word. So much time after the last question that PostgreSQL has answered on it, what
# was heard counts as old; `Notifications` asks more often.
BELIEVED = timedelta(seconds=3)
_PLACES = 1 << 16
_COUNT = "SELECT number FROM account_changes WHERE viewer_id = ?"


class Changes(Protocol):
    """Marks of one database."""

    def mark(self, viewer_id: str) -> Mark | None:
        """None if nothing is known now."""

    def close(self) -> None:
        """No marks after that."""


class CountedChanges:
    """On SQLite.

    It reads on the thread that asks: a row by its primary key, from pages that are in memory, takes less than the way to
    another thread. Readers never wait in WAL mode; should the file be locked all the same, nothing is known.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._connection: sqlite3.Connection | None = None

    def mark(self, viewer_id: str) -> Mark | None:
        try:
            rows = self._connected().execute(_COUNT, (viewer_id,)).fetchall()  # all, so that the statement has ended
        except sqlite3.Error:
            return None
        return (0, rows[0][0] if rows else 0)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            arguments, options = self._url.get_dialect()().create_connect_args(self._url)
            connect: Callable[..., sqlite3.Connection] = sqlite3.connect
            self._connection = connect(*arguments, **{**options, "timeout": 0, "isolation_level": None})
        return self._connection


class HeardChanges:
    """On PostgreSQL.

    Viewers share places in a table, so that it never grows. Whoever shares a place with somebody who changes something
    takes its own accounts for changed as well: that costs a reading, and nothing is wrong.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._numbers = array("Q", bytes(8 * _PLACES))
        self._times = 0  # that hearing has begun
        self._until = float("-inf")

    def mark(self, viewer_id: str) -> Mark | None:
        if self._monotonic() >= self._until:
            return None
        return self._times, self._numbers[_place(hash_viewer(viewer_id))]

    def close(self) -> None:
        self.lose()

    def begin(self) -> None:
        """From now on changes are heard. Whatever was before is old."""
        self._times += 1

    def believe(self, asked: float) -> None:
        """All changes until then, by `monotonic`, were heard."""
        self._until = asked + BELIEVED.total_seconds()

    def lose(self) -> None:
        """From now on nothing is heard."""
        self._until = float("-inf")

    def changed(self, address: str) -> None:
        try:
            self._numbers[_place(address)] += 1
        except ValueError:  # of another version, or of somebody else: it may mean anybody
            self._times += 1


def open_changes(url: str) -> CountedChanges | HeardChanges:
    """`url` as `Settings.database_url` has it. Connects when first used."""
    return CountedChanges(url) if make_url(url).get_backend_name() == "sqlite" else HeardChanges()


def _place(address: str) -> int:
    return int(address[:4], 16) % _PLACES
