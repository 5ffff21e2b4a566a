"""Sync jobs, and what their workers share."""

import sqlalchemy as sa
from alembic import op

from tiktok_accounts_gql.db.migrations.columns import closed
from tiktok_accounts_gql.db.types import UtcDateTime, byte_ordered

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("sync_jobs", "sync_results", "request_quotas", "workers")

JOB_STATES = ("QUEUED", "RUNNING", "CANCELING", "SUCCEEDED", "PARTIALLY_FAILED", "FAILED", "CANCELED")
OUTCOMES = ("PENDING", "SUCCEEDED", "FAILED", "CANCELED")

INDEXES = (
    "CREATE INDEX sync_jobs_by_time ON sync_jobs (viewer_id, created_at DESC, id DESC)",
    "CREATE INDEX sync_jobs_by_state ON sync_jobs (viewer_id, state, created_at DESC, id DESC)",
    "CREATE INDEX sync_results_pending ON sync_results (viewer_id, turn) WHERE outcome = 'PENDING'",
    "CREATE INDEX sync_results_in_turn ON sync_results (turn) WHERE outcome = 'PENDING'",
)


def upgrade() -> None:
    create_sync_jobs()
    create_sync_results()
    create_request_quotas()
    create_workers()
    for statement in INDEXES:
        op.execute(statement)


def create_sync_jobs() -> None:
    op.create_table(
        "sync_jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("state", closed("jobstate", *JOB_STATES), nullable=False),
        sa.Column("total_count", sa.Integer(), nullable=False),
        sa.Column("succeeded_count", sa.Integer(), nullable=False),
        sa.Column("failed_count", sa.Integer(), nullable=False),
        sa.Column("canceled_count", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("id", "viewer_id", name="sync_jobs_id_with_viewer"),
    )
    op.create_index("sync_jobs_by_end", "sync_jobs", ["finished_at"], unique=False)


def create_sync_results() -> None:
    op.create_table(
        "sync_results",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", closed("syncoutcome", *OUTCOMES), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("is_running", sa.Boolean(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["job_id", "viewer_id"], ["sync_jobs.id", "sync_jobs.viewer_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("sync_results_by_position", "sync_results", ["job_id", "position"], unique=True)
    op.create_index("sync_results_by_outcome", "sync_results", ["job_id", "outcome", "position"], unique=False)


def create_request_quotas() -> None:
    op.create_table(
        "request_quotas",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("closed_until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )


def create_workers() -> None:
    op.create_table(
        "workers",
        sa.Column("executor_id", sa.Text(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("executor_id"),
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
