"""The sandbox's database: codes, grants, and a record of every call. In SQLite, in memory or in a file."""

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, USER_INFO_PATH

CODE_SECONDS = 600
QUOTA_WINDOW_SECONDS = 60

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
_STORE_PAST_TOKENS = """
INSERT OR IGNORE INTO past_tokens
SELECT access_token, open_id FROM grants WHERE open_id = ?1 UNION SELECT refresh_token, open_id FROM grants WHERE open_id = ?1
"""
_COUNT_CALLS = """
SELECT open_id,
    sum(kind IS 'refresh_token' AND error IS NULL) AS refreshes,
    sum(error IS 'invalid_grant') AS invalid_grants,
    sum(path = ?1) AS user_infos,
    sum(path = ?2) AS revocations
FROM calls WHERE open_id IS NOT NULL GROUP BY open_id ORDER BY open_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationCode:
    """A user's consent, until an app exchanges it for tokens."""

    open_id: str
    scopes: str
    redirect_uri: str
    challenge: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxGrant:
    """The authorization of an app for one account, with its newest pair of tokens: all older ones are invalid."""

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
class RecordedCall:
    """A call to the sandbox. `time`: in seconds since 1970.

    `kind`: the grant type of a call to the token endpoint. `error`: TikTok's code, or the kind of fault if the call was not
    carried out.
    """

    time: float
    path: str
    kind: str | None
    open_id: str | None
    status: int
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCounts:
    """The calls about one account. Those with an invalid token count as well: past tokens are stored."""

    open_id: str
    refreshes: int
    invalid_grants: int
    user_infos: int
    revocations: int


class SandboxState:
    """Codes, grants and calls, in one SQLite connection. The server's thread uses it, and tests do so from theirs."""

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

    def add_code(self, code: AuthorizationCode) -> str:
        """Store an authorization code and return its text."""
        value = secrets.token_urlsafe(24)
        expires_at = self.clock() + CODE_SECONDS
        self._run(
            "INSERT INTO codes VALUES (?, ?, ?, ?, ?, ?)",
            (value, code.open_id, code.scopes, code.redirect_uri, code.challenge, expires_at),
        )
        return value

    def take_code(self, value: str) -> AuthorizationCode | None:
        """Return and delete a code, which works once; None if it is unknown or expired."""
        rows = self._run("DELETE FROM codes WHERE code = ? RETURNING *", (value,))
        if not rows or rows[0]["expires_at"] <= self.clock():
            return None
        row = rows[0]
        return AuthorizationCode(
            open_id=row["open_id"], scopes=row["scopes"], redirect_uri=row["redirect_uri"], challenge=row["challenge"]
        )

    def create_grant(self, open_id: str, scopes: str) -> SandboxGrant:
        """Create new tokens. All earlier tokens of this account become invalid at once."""
        now = self.clock()
        grant = SandboxGrant(
            open_id=open_id,
            scopes=scopes,
            access_token=f"act.{secrets.token_urlsafe(32)}",
            access_expires_at=now + self._access_seconds,
            refresh_token=f"rft.{secrets.token_urlsafe(32)}",
            refresh_expires_at=now + self._refresh_seconds,
        )
        self._run(_STORE_PAST_TOKENS, (open_id,))
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

    def find_by_access_token(self, token: str) -> SandboxGrant | None:
        """Return the grant of an access token, which may have expired: see `access_expires_at`."""
        return self._find_grant("SELECT * FROM grants WHERE access_token = ?", token)

    def find_by_refresh_token(self, token: str) -> SandboxGrant | None:
        """Return the grant of a refresh token; None if it is unknown or expired."""
        grant = self._find_grant("SELECT * FROM grants WHERE refresh_token = ?", token)
        return grant if grant and grant.refresh_expires_at > self.clock() else None

    def find_grant(self, open_id: str) -> SandboxGrant | None:
        return self._find_grant("SELECT * FROM grants WHERE open_id = ?", open_id)

    def list_grants(self) -> list[SandboxGrant]:
        """Return all grants, newest first."""
        return [SandboxGrant(**dict(row)) for row in self._run("SELECT * FROM grants ORDER BY rowid DESC", ())]

    def find_open_id(self, token: str) -> str | None:
        """Return the open id of the account that a token, a past token or an authorization code belongs to."""
        rows = self._run(
            "SELECT open_id FROM grants WHERE ?1 IN (access_token, refresh_token) "
            "UNION ALL SELECT open_id FROM past_tokens WHERE token = ?1 "
            "UNION ALL SELECT open_id FROM codes WHERE code = ?1",
            (token,),
        )
        return str(rows[0]["open_id"]) if rows else None

    def set_scopes(self, open_id: str, scopes: Iterable[str]) -> None:
        """Change the scopes of a grant, as where the user withdraws some. Its tokens stay valid."""
        self._run("UPDATE grants SET scopes = ? WHERE open_id = ?", (",".join(scopes), open_id))

    def revoke_grant(self, open_id: str) -> None:
        """End a grant, as the user or the app does: all its tokens become invalid."""
        self._run(_STORE_PAST_TOKENS, (open_id,))
        self._run("DELETE FROM grants WHERE open_id = ?", (open_id,))

    def expire_access_token(self, open_id: str) -> None:
        self._run("UPDATE grants SET access_expires_at = 0 WHERE open_id = ?", (open_id,))

    def record_call(self, call: RecordedCall) -> None:
        self._run(
            "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)",
            (call.time, call.path, call.kind, call.open_id, call.status, call.error),
        )

    def list_calls(
        self,
        path: str | None = None,
        *,
        open_id: str | None = None,
        kind: str | None = None,
        since: float = 0,
        limit: int = -1,
    ) -> list[RecordedCall]:
        """Return calls, oldest first; with a `limit`, the newest ones. `since`: in seconds since 1970."""
        columns = {"path": path, "open_id": open_id, "kind": kind}
        filters = {column: value for column, value in columns.items() if value is not None}
        condition = " AND ".join(["time >= ?", *(f"{column} = ?" for column in filters)])
        statement = f"SELECT * FROM calls WHERE {condition} ORDER BY rowid DESC LIMIT ?"  # noqa: S608 - our own names
        rows = self._run(statement, (since, *filters.values(), limit))
        return [RecordedCall(**dict(row)) for row in reversed(rows)]

    def count_calls(self) -> list[CallCounts]:
        """Return the counts of every account that calls were about."""
        return [CallCounts(**dict(row)) for row in self._run(_COUNT_CALLS, (USER_INFO_PATH, REVOKE_PATH))]

    def count_answered(self, path: str) -> int:
        """Return how many calls of the last minute were not refused for their rate."""
        since = self.clock() - QUOTA_WINDOW_SECONDS
        [row] = self._run("SELECT count(*) FROM calls WHERE path = ? AND time > ? AND status <> 429", (path, since))
        return int(row[0])

    def _find_grant(self, statement: str, value: str) -> SandboxGrant | None:
        rows = self._run(statement, (value,))
        return SandboxGrant(**dict(rows[0])) if rows else None

    def _run(self, statement: str, values: Iterable[Any]) -> list[sqlite3.Row]:
        return self._db.execute(statement, tuple(values)).fetchall()
