"""Versions of a viewer's accounts, which tell whether an account has changed since a response was made.

A version is read before the accounts are. As long as the current version equals it, the same query would return the same.
The database reports changes by triggers (`migrations/account_changes.py`), so no writer can forget to:

- On SQLite a trigger counts them. The count is the version, and current at once, whichever process made the change.
- On PostgreSQL a trigger sends notifications. They are counted here as they arrive, and those of this process's own
  commits before its responses leave. A process that does not receive notifications has no versions.
"""

import sqlite3
import time
from array import array
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from sqlalchemy.engine import make_url

from tiktok_accounts_gql.events import hash_viewer

ChangeVersion = tuple[int, int]  # how often versions were reset, and the number of changes

# A connection may be lost without an error. So long after the last query that PostgreSQL answered on it, versions are stale;
# `Notifications` sends a query more often.
FRESH_FOR = timedelta(seconds=3)
_SLOTS = 1 << 16
_SELECT_NUMBER = "SELECT number FROM account_changes WHERE viewer_id = ?"


class ChangeVersions(Protocol):
    """The current versions of one database."""

    def get(self, viewer_id: str) -> ChangeVersion | None:
        """Return the viewer's version, or None if it is unknown at the moment."""

    def close(self) -> None:
        """Close the connection; every version is unknown from then on."""


class SqliteChangeVersions:
    """Versions that SQLite counts.

    They are read in the caller's thread: a row by its primary key, from pages that are in memory, takes less time than a
    hop to another thread. Readers never wait in WAL mode; if the file is locked all the same, the version is unknown.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._connection: sqlite3.Connection | None = None

    def get(self, viewer_id: str) -> ChangeVersion | None:
        try:
            if self._connection is None:
                self._connection = self._connect()
            rows = self._connection.execute(_SELECT_NUMBER, (viewer_id,)).fetchall()  # all, to end the statement
        except sqlite3.Error:
            return None
        return (0, rows[0][0] if rows else 0)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        arguments, options = self._url.get_dialect()().create_connect_args(self._url)
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect
        return connect(*arguments, **{**options, "timeout": 0, "isolation_level": None})


class NotifyChangeVersions:
    """Versions that are counted from PostgreSQL's notifications.

    Viewers share the slots of a fixed-size table. A change of another viewer in the same slot makes the viewer's version
    change as well, which costs one needless query and is never wrong.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._numbers = array("Q", bytes(8 * _SLOTS))
        self._resets = 0
        self._fresh_until = float("-inf")

    def get(self, viewer_id: str) -> ChangeVersion | None:
        if self._monotonic() >= self._fresh_until:
            return None
        return self._resets, self._numbers[_slot_of(hash_viewer(viewer_id))]

    def close(self) -> None:
        self.mark_stale()

    def reset(self) -> None:
        """Invalidate all earlier versions, because changes may have been missed."""
        self._resets += 1

    def mark_fresh(self, checked_at: float) -> None:
        """Record that all changes before this time, in seconds of `monotonic`, have been counted."""
        self._fresh_until = checked_at + FRESH_FOR.total_seconds()

    def mark_stale(self) -> None:
        """Make all versions unknown until they are marked fresh again."""
        self._fresh_until = float("-inf")

    def count_change(self, address: str) -> None:
        """Count a change of the viewer with this address (`events.hash_viewer`)."""
        try:
            self._numbers[_slot_of(address)] += 1
        except ValueError:  # another version of this server, or another application, sent it: any viewer may be meant
            self.reset()


def open_change_versions(url: str) -> SqliteChangeVersions | NotifyChangeVersions:
    """Return the versions of a database (`Settings.database_url`). They connect when they are first used."""
    return SqliteChangeVersions(url) if make_url(url).get_backend_name() == "sqlite" else NotifyChangeVersions()


def _slot_of(address: str) -> int:
    """Return the slot of an address. Raises ValueError if it does not begin with four hexadecimal digits."""
    return int(address[:4], 16) % _SLOTS
