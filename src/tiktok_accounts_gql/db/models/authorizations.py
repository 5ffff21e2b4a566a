"""Authorizations: connection attempts, tokens, revocations, and the events that TikTok sends."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.db.models.columns import (
    VIEWER_LENGTH,
    account_foreign_key,
    partial_index,
)
from tiktok_accounts_gql.db.types import UtcDateTime, byte_ordered


class TokenPair(SQLModel, table=True):
    """An account's sealed tokens, in a table of their own, so that no query for accounts can load one.

    `grant_id` changes with every grant. `lease_id` and `lease_until` are the refresh lease; `attempted_at` is the time of a
    refresh whose outcome is unknown. `reading_id` and `reading_until` are the sync lease.
    """

    __tablename__ = "token_pairs"
    __table_args__ = (account_foreign_key(),)

    account_id: UUID = Field(primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    access_token: bytes = Field(sa_type=LargeBinary, repr=False)
    refresh_token: bytes | None = Field(default=None, sa_type=LargeBinary, repr=False)
    previous_refresh_token: bytes | None = Field(default=None, sa_type=LargeBinary, repr=False)
    grant_id: UUID = Field(default_factory=uuid7)
    issued_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    lease_id: UUID | None = None
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    reading_id: UUID | None = None
    reading_until: datetime | None = Field(default=None, sa_type=UtcDateTime)


class PendingRevocation(SQLModel, table=True):
    """An authorization that is to be revoked at TikTok; the row is deleted when that is done.

    Until `lease_until`, by the database's clock, a process is calling TikTok.
    """

    __tablename__ = "owed_revocations"
    __table_args__ = (account_foreign_key(), Index("owed_revocations_due", "next_attempt_at"))

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    account_id: UUID
    access_token: bytes = Field(sa_type=LargeBinary, repr=False)
    access_token_expires_at: datetime = Field(sa_type=UtcDateTime)
    refresh_token: bytes | None = Field(default=None, sa_type=LargeBinary, repr=False)
    next_attempt_at: datetime = Field(sa_type=UtcDateTime)
    given_up_at: datetime = Field(sa_type=UtcDateTime)
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ConnectionAttempt(SQLModel, table=True):
    """An authorization from its start to its callback. `state` is stored as a hash, and works once.

    `fingerprint` is the hash of the callback's parameters, by which a repeated callback is recognized. `browser_hash` is the
    hash of the secret of the browser that went on to TikTok. `viewer_name` is shown to the person who grants access.
    """

    __tablename__ = "connection_attempts"
    __table_args__ = (
        account_foreign_key(),
        Index("connection_attempts_by_state", "state_hash", unique=True),
        Index("connection_attempts_by_age", "viewer_id", "expires_at"),
        Index("connection_attempts_by_time", "expires_at"),
    )

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    state_hash: bytes = Field(sa_type=LargeBinary)
    viewer_name: str | None = Field(default=None, sa_type=Text)
    browser_hash: bytes | None = Field(default=None, sa_type=LargeBinary, repr=False)
    account_id: UUID | None = None
    return_to: str | None = Field(default=None, sa_type=Text)
    code_verifier: bytes | None = Field(default=None, sa_type=LargeBinary, repr=False)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    fingerprint: bytes | None = Field(default=None, sa_type=LargeBinary)
    error: str | None = Field(default=None, sa_type=Text)
    connected_account_id: UUID | None = None
    reconnected: bool | None = None


class WebhookEvent(SQLModel, table=True):
    """An event that TikTok sent, stored once (the key is the hash of its body) and processed afterwards.

    A process that begins an attempt first stores when the next one is due; None before the first attempt.
    """

    __tablename__ = "webhook_events"
    __table_args__ = (partial_index("webhook_events_waiting", "received_at", condition="processed_at IS NULL"),)

    body_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    body: bytes = Field(sa_type=LargeBinary)
    received_at: datetime = Field(sa_type=UtcDateTime)
    processed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    next_attempt_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
