"""Audit events, idempotency keys and cost budgets."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Column, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.db.models.columns import (
    VIEWER_LENGTH,
    account_foreign_key,
    enum_column,
    partial_index,
)
from tiktok_accounts_gql.db.models.enums import (
    AuditAction,
    AuditActor,
)
from tiktok_accounts_gql.db.types import UtcDateTime, byte_ordered


class AuditEvent(SQLModel, table=True):
    """An entry of the audit log. Triggers reject its update or deletion."""

    __tablename__ = "audit_events"
    __table_args__ = (
        account_foreign_key(),
        Index("audit_events_by_time", "viewer_id", text("created_at DESC"), text("id DESC")),
        partial_index("audit_events_of_changes", "viewer_id", "created_at DESC", "id DESC", condition="is_change"),
        Index("audit_events_by_account", "viewer_id", "account_id", text("created_at DESC"), text("id DESC")),
    )

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    action: AuditAction = Field(sa_type=enum_column(AuditAction, closed=False))
    is_change: bool
    created_at: datetime = Field(sa_type=UtcDateTime)
    account_id: UUID | None = None
    actor: AuditActor = Field(sa_type=enum_column(AuditActor, closed=True))
    request_id: str | None = Field(default=None, sa_type=Text)
    ip_address: str | None = Field(default=None, sa_type=Text)
    details: list[dict[str, Any]] = Field(sa_type=JSON)
    account_username: str | None = Field(default=None, sa_type=Text)


class IdempotencyKey(SQLModel, table=True):
    """The response of a mutation to an idempotency key: for 24 hours the same call gets the same response."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        Index("idempotency_keys_by_age", "viewer_id", "created_at"),
        Index("idempotency_keys_by_time", "created_at"),
    )

    viewer_id: str = Field(sa_column=Column(byte_ordered(VIEWER_LENGTH), primary_key=True))
    key: str = Field(sa_column=Column(byte_ordered(255), primary_key=True))
    operation: str = Field(sa_type=Text)
    input_hash: bytes = Field(sa_type=LargeBinary)
    answer: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)


class CostBucket(SQLModel, table=True):
    """A viewer's budget of cost points: how many there were at `counted_at`, by the database's clock."""

    __tablename__ = "cost_buckets"
    __table_args__ = (Index("cost_buckets_by_age", "counted_at"),)

    viewer_id: str = Field(sa_column=Column(byte_ordered(VIEWER_LENGTH), primary_key=True))
    points: float
    counted_at: datetime = Field(sa_type=UtcDateTime)
