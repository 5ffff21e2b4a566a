"""What the sandbox remembers: codes, grants, and every call with its time. In SQLite, in memory or in a file."""

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, USER_INFO_PATH

CODE_SECONDS = 600
WINDOW_SECONDS = 60

_TABLES = """
CREATE TABLE IF NOT EXISTS codes (
    code TEXT PRIMARY KEY, open_id TEXT, scopes TEXT, redirect_uri TEXT, challenge TEXT, expires_at REAL
);
CREATE TABLE IF NOT EXISTS grants (
    open_id TEXT PRIMARY KEY, scopes TEXT, access_token TEXT, access_expires_at REAL,
    refresh_token TEXT, refresh_expires_at REAL
);
CREATE INDEX IF NOT EXISTS grants_by_access_token ON grants (access_token);
CREATE INDEX IF NOT EXISTS grants_by_refresh_token ON grants (refresh_token);
CREATE TABLE IF NOT EXISTS past_tokens (token TEXT PRIMARY KEY, open_id TEXT);
CREATE TABLE IF NOT EXISTS calls (time REAL, path TEXT, kind TEXT, open_id TEXT, status INTEGER, error TEXT);
CREATE INDEX IF NOT EXISTS calls_by_path ON calls (path, time);
"""
_RETIRE = """
INSERT OR IGNORE INTO past_tokens
SELECT access_token, open_id FROM grants WHERE open_id = ?1 UNION SELECT refresh_token, open_id FROM grants WHERE open_id = ?1
"""
_TRUTH = """
SELECT open_id,
    sum(kind IS 'refresh_token' AND error IS NULL) AS refreshes,
    sum(error IS 'invalid_grant') AS invalid_grants,
    sum(path = ?1) AS user_infos,
    sum(path = ?2) AS revocations
FROM calls WHERE open_id IS NOT NULL GROUP BY open_id ORDER BY open_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A consent that waits for its exchange."""

    open_id: str
    scopes: str
    redirect_uri: str
    challenge: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What an app may do for one account; the newest pair of tokens is the only one that works."""

    open_id: str
    scopes: str
    access_token: str
    access_expires_at: float
    refresh_token: str
    refresh_expires_at: float

    @property
    def scope_set(self) -> frozenset[str]:
        return frozenset(self.scope_list)

    @property
    def scope_list(self) -> list[str]:
        return self.scopes.split(",")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`kind` is the grant type of a call to the token endpoint; `error` also a fault, if the call was not carried out."""

    time: float
    path: str
    kind: str | None
    open_id: str | None
    status: int
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What one account's app did. An `invalid_grant` after a rotation counts as well: old tokens are remembered."""

    open_id: str
    refreshes: int
    invalid_grants: int
    user_infos: int
    revocations: int


class SandboxState:
    """One connection, used by the sandbox's own thread and, for its truth, by tests."""

    def __init__(
        self,
        path: Path | None,
        *,
        access_seconds: int,
        refresh_seconds: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.executescript(_TABLES)
        self._access_seconds = access_seconds
        self._refresh_seconds = refresh_seconds
        self.clock = clock

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_code(self, code: Code) -> str:
        value = secrets.token_urlsafe(24)
        expires_at = self.clock() + CODE_SECONDS
        self._run(
            "INSERT INTO codes VALUES (?, ?, ?, ?, ?, ?)",
            (value, code.open_id, code.scopes, code.redirect_uri, code.challenge, expires_at),
        )
        return value

    def take_code(self, value: str) -> Code | None:
        """A code works once."""
        taken = self._run("DELETE FROM codes WHERE code = ? RETURNING *", (value,))
        if not taken or taken[0]["expires_at"] <= self.clock():
            return None
        row = taken[0]
        return Code(
            open_id=row["open_id"], scopes=row["scopes"], redirect_uri=row["redirect_uri"], challenge=row["challenge"]
        )

    def grant(self, open_id: str, scopes: str) -> Grant:
        """New tokens; those before them, of any earlier grant of this account, stop working at once."""
        now = self.clock()
        grant = Grant(
            open_id=open_id,
            scopes=scopes,
            access_token=f"act.{secrets.token_urlsafe(32)}",
            access_expires_at=now + self._access_seconds,
            refresh_token=f"rft.{secrets.token_urlsafe(32)}",
            refresh_expires_at=now + self._refresh_seconds,
        )
        self._run(_RETIRE, (open_id,))
        self._run(
            "INSERT OR REPLACE INTO grants VALUES (?, ?, ?, ?, ?, ?)",
            (
                open_id,
                scopes,
                grant.access_token,
                grant.access_expires_at,
                grant.refresh_token,
                grant.refresh_expires_at,
            ),
        )
        return grant

    def find_by_access_token(self, token: str) -> Grant | None:
        """Also one that ran out: see `access_expires_at`."""
        return self._grant("SELECT * FROM grants WHERE access_token = ?", token)

    def find_by_refresh_token(self, token: str) -> Grant | None:
        found = self._grant("SELECT * FROM grants WHERE refresh_token = ?", token)
        return found if found and found.refresh_expires_at > self.clock() else None

    def find(self, open_id: str) -> Grant | None:
        return self._grant("SELECT * FROM grants WHERE open_id = ?", open_id)

    def grants(self) -> list[Grant]:
        """The newest first."""
        return [Grant(**dict(row)) for row in self._run("SELECT * FROM grants ORDER BY rowid DESC", ())]

    def whose(self, token: str) -> str | None:
        """Whose token this is or was, or whose code this is."""
        rows = self._run(
            "SELECT open_id FROM grants WHERE ?1 IN (access_token, refresh_token) "
            "UNION ALL SELECT open_id FROM past_tokens WHERE token = ?1 "
            "UNION ALL SELECT open_id FROM codes WHERE code = ?1",
            (token,),
        )
        return str(rows[0]["open_id"]) if rows else None

    def keep_scopes(self, open_id: str, scopes: Iterable[str]) -> None:
        """The user took the others back, and nothing else changed."""
        self._run("UPDATE grants SET scopes = ? WHERE open_id = ?", (",".join(scopes), open_id))

    def revoke_grant(self, open_id: str) -> None:
        """The user, or the app, ended it: no token of it works any more."""
        self._run(_RETIRE, (open_id,))
        self._run("DELETE FROM grants WHERE open_id = ?", (open_id,))

    def expire_access_token(self, open_id: str) -> None:
        self._run("UPDATE grants SET access_expires_at = 0 WHERE open_id = ?", (open_id,))

    def record(self, call: Call) -> None:
        self._run(
            "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)",
            (call.time, call.path, call.kind, call.open_id, call.status, call.error),
        )

    def calls(
        self,
        path: str | None = None,
        *,
        open_id: str | None = None,
        kind: str | None = None,
        since: float = 0,
        limit: int = -1,
    ) -> list[Call]:
        """In the order of their arrival; with a limit, the last ones."""
        wanted = {"path": path, "open_id": open_id, "kind": kind}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(["time >= ?", *(f"{name} = ?" for name in given)])
        statement = f"SELECT * FROM calls WHERE {where} ORDER BY rowid DESC LIMIT ?"  # noqa: S608 - our own names
        return [Call(**dict(row)) for row in reversed(self._run(statement, (since, *given.values(), limit)))]

    def truth(self) -> list[Truth]:
        """For every account that any call was about."""
        return [Truth(**dict(row)) for row in self._run(_TRUTH, (USER_INFO_PATH, REVOKE_PATH))]

    def answered_lately(self, path: str) -> int:
        """Calls in the last sliding minute that were not turned away."""
        since = self.clock() - WINDOW_SECONDS
        [row] = self._run("SELECT count(*) FROM calls WHERE path = ? AND time > ? AND status <> 429", (path, since))
        return int(row[0])

    def _grant(self, statement: str, value: str) -> Grant | None:
        rows = self._run(statement, (value,))
        return Grant(**dict(rows[0])) if rows else None

    def _run(self, statement: str, values: Iterable[Any]) -> list[sqlite3.Row]:
        return self._db.execute(statement, tuple(values)).fetchall()
