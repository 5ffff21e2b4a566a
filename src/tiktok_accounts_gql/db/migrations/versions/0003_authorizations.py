"""Authorizations: their tokens, how they begin and how they end."""

import sqlalchemy as sa
from alembic import op

from tiktok_accounts_gql.db.migrations.columns import of_account
from tiktok_accounts_gql.db.types import UtcDateTime, byte_ordered

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = ("token_pairs", "owed_revocations", "connection_attempts", "webhook_events")

INDEXES = ("CREATE INDEX webhook_events_waiting ON webhook_events (received_at) WHERE processed_at IS NULL",)


def upgrade() -> None:
    create_token_pairs()
    create_owed_revocations()
    create_connection_attempts()
    create_webhook_events()
    for statement in INDEXES:
        op.execute(statement)


def create_token_pairs() -> None:
    op.create_table(
        "token_pairs",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("access_token", sa.LargeBinary(), nullable=False),
        sa.Column("refresh_token", sa.LargeBinary(), nullable=True),
        sa.Column("previous_refresh_token", sa.LargeBinary(), nullable=True),
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("lease_id", sa.Uuid(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("attempted_at", UtcDateTime(), nullable=True),
        sa.Column("reading_id", sa.Uuid(), nullable=True),
        sa.Column("reading_until", UtcDateTime(), nullable=True),
        of_account(),
        sa.PrimaryKeyConstraint("account_id"),
    )


def create_owed_revocations() -> None:
    op.create_table(
        "owed_revocations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("access_token", sa.LargeBinary(), nullable=False),
        sa.Column("access_token_expires_at", UtcDateTime(), nullable=False),
        sa.Column("refresh_token", sa.LargeBinary(), nullable=True),
        sa.Column("next_attempt_at", UtcDateTime(), nullable=False),
        sa.Column("given_up_at", UtcDateTime(), nullable=False),
        of_account(),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("owed_revocations_due", "owed_revocations", ["next_attempt_at"], unique=False)


def create_connection_attempts() -> None:
    op.create_table(
        "connection_attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("state_hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("return_to", sa.Text(), nullable=True),
        sa.Column("code_verifier", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("connected_account_id", sa.Uuid(), nullable=True),
        sa.Column("reconnected", sa.Boolean(), nullable=True),
        of_account(),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("connection_attempts_by_state", "connection_attempts", ["state_hash"], unique=True)
    op.create_index("connection_attempts_by_age", "connection_attempts", ["viewer_id", "expires_at"], unique=False)


def create_webhook_events() -> None:
    op.create_table(
        "webhook_events",
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("processed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("body_hash"),
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
