"""Sync jobs, and the state that their workers share."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.db.models.columns import (
    VIEWER_LENGTH,
    enum_column,
    partial_index,
)
from tiktok_accounts_gql.db.models.enums import (
    JobState,
    SyncOutcome,
)
from tiktok_accounts_gql.db.types import UtcDateTime, byte_ordered


class SyncJob(SQLModel, table=True):
    """A sync of many accounts. Its counts change in the transactions that end its results."""

    __tablename__ = "sync_jobs"
    __table_args__ = (
        UniqueConstraint("id", "viewer_id", name="sync_jobs_id_with_viewer"),
        Index("sync_jobs_by_time", "viewer_id", text("created_at DESC"), text("id DESC")),
        Index("sync_jobs_by_state", "viewer_id", "state", text("created_at DESC"), text("id DESC")),
        Index("sync_jobs_by_end", "finished_at"),
    )

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    state: JobState = Field(default=JobState.QUEUED, sa_type=enum_column(JobState, closed=True))
    total_count: int
    succeeded_count: int = 0
    failed_count: int = 0
    canceled_count: int = 0
    created_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    request_id: str | None = Field(default=None, sa_type=Text)

    @property
    def pending_count(self) -> int:
        """The number of accounts that are neither read nor canceled. All counts add up to the total."""
        return self.total_count - self.succeeded_count - self.failed_count - self.canceled_count


class SyncResult(SQLModel, table=True):
    """One account of a sync job. `account_id` is as the client sent it, and need not be one of the viewer's.

    Results of lower turns are read first, of any viewer; each viewer has one result in each turn.
    """

    __tablename__ = "sync_results"
    __table_args__ = (
        ForeignKeyConstraint(["job_id", "viewer_id"], ["sync_jobs.id", "sync_jobs.viewer_id"], ondelete="CASCADE"),
        Index("sync_results_by_position", "job_id", "position", unique=True),
        Index("sync_results_by_outcome", "job_id", "outcome", "position"),
        partial_index("sync_results_pending", "viewer_id", "turn", condition="outcome = 'PENDING'"),
        partial_index("sync_results_in_turn", "turn", condition="outcome = 'PENDING'"),
    )

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    job_id: UUID
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    position: int
    turn: int
    account_id: UUID
    outcome: SyncOutcome = Field(default=SyncOutcome.PENDING, sa_type=enum_column(SyncOutcome, closed=True))
    attempts: int = 0
    is_running: bool = False
    error_code: str | None = Field(default=None, sa_type=Text)
    error_message: str | None = Field(default=None, sa_type=Text)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RequestQuota(SQLModel, table=True):
    """An endpoint's rate limit and circuit breaker, for all processes (see `quota.py`)."""

    __tablename__ = "request_quotas"

    name: str = Field(sa_column=Column(Text, primary_key=True))
    next_at: datetime = Field(sa_type=UtcDateTime)
    failures: int = 0
    closed_until: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Worker(SQLModel, table=True):
    """A process that executes jobs, and the time of its last heartbeat, by the database's clock."""

    __tablename__ = "workers"

    executor_id: str = Field(sa_column=Column(Text, primary_key=True))
    seen_at: datetime = Field(sa_type=UtcDateTime)
