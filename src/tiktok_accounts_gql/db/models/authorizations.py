"""Authorizations: their tokens, how they begin and how they end."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.db.models.columns import (
    VIEWER_LENGTH,
    of_account,
    partial,
)
from tiktok_accounts_gql.db.types import UtcDateTime, byte_ordered


class TokenPair(SQLModel, table=True):
    """An account's sealed tokens: a table of its own, so that no query for accounts can load one.

    `grant_id` changes with every grant. Who renews it holds the lease; `attempted_at` stays until the outcome is known.
    Who reads the account with it holds `reading_id`, so that nobody reads it twice at once.
    """

    __tablename__ = "token_pairs"
    __table_args__ = (of_account(),)

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


class OwedRevocation(SQLModel, table=True):
    """An authorization that was given up here and still has to be revoked at TikTok; deleted once it is.

    Until `lease_until`, by the database's clock, somebody is about to revoke it.
    """

    __tablename__ = "owed_revocations"
    __table_args__ = (of_account(), Index("owed_revocations_due", "next_attempt_at"))

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
    """From the start of an authorization to its callback; `state` is stored hashed and works once.

    `fingerprint` is the hash of what the callback brought, so that the same call again is known as such. `browser_hash` is
    of the secret of the browser that went on to TikTok; `viewer_name` is what people know the viewer by.
    """

    __tablename__ = "connection_attempts"
    __table_args__ = (
        of_account(),
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
    """What TikTok told us, once: the key is the hash of the body. It is processed after it is stored.

    Whoever processes it notes the attempt and the next one first; None before the first attempt.
    """

    __tablename__ = "webhook_events"
    __table_args__ = (partial("webhook_events_waiting", "received_at", where="processed_at IS NULL"),)

    body_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    body: bytes = Field(sa_type=LargeBinary)
    received_at: datetime = Field(sa_type=UtcDateTime)
    processed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    next_attempt_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
