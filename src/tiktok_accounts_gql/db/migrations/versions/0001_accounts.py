"""Accounts, their totals and changes, their counters and pictures."""

import sqlalchemy as sa
from alembic import op

from tiktok_accounts_gql.db.migrations import account_changes, account_totals
from tiktok_accounts_gql.db.migrations.columns import closed, of_account
from tiktok_accounts_gql.db.types import UtcDateTime, byte_ordered, byte_ordered_text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = ("accounts", "account_totals", "account_changes", "snapshots", "avatars")

ORDERS = {
    "accounts_by_created_at": "viewer_id, created_at DESC, id DESC",
    "accounts_by_display_name": "viewer_id, display_name_key, id",
    "accounts_by_followers": "viewer_id, follower_count, id",
    "accounts_by_last_sync": "viewer_id, last_synced_at, id",
    "accounts_by_username": "viewer_id, username_key, id",
}
SEARCHED = {"sqlite": ", search_text, disconnected_at", "postgresql": ""}

INDEXES = (
    "CREATE INDEX accounts_by_health ON accounts (viewer_id, health_state, created_at DESC, id DESC) WHERE disconnected_at IS NULL",
    "CREATE INDEX accounts_by_action ON accounts (viewer_id, health_action, created_at DESC, id DESC) WHERE disconnected_at IS NULL",
    "CREATE INDEX accounts_of_the_schedule ON accounts (status, last_synced_at, connected_at) WHERE disconnected_at IS NULL",
    "CREATE INDEX accounts_that_end ON accounts (status, reauthorize_by) WHERE disconnected_at IS NULL",
    "CREATE INDEX accounts_by_status ON accounts (viewer_id, status, created_at DESC, id DESC) WHERE disconnected_at IS NULL",
    "CREATE UNIQUE INDEX accounts_open_id_connected_once ON accounts (open_id) WHERE disconnected_at IS NULL",
    "CREATE INDEX snapshots_to_thin ON snapshots (hour, account_id) WHERE NOT is_thinned",
)

SEARCH = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE EXTENSION IF NOT EXISTS btree_gin",
    "CREATE INDEX accounts_search ON accounts USING gin (viewer_id, search_text gin_trgm_ops) "
    "WHERE disconnected_at IS NULL",
)


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    create_accounts()
    create_account_totals()
    create_account_changes()
    create_snapshots()
    create_avatars()
    for name, columns in ORDERS.items():
        op.execute(f"CREATE INDEX {name} ON accounts ({columns}{SEARCHED[dialect]}) WHERE disconnected_at IS NULL")
    for statement in (*INDEXES, *(SEARCH if dialect == "postgresql" else ())):
        op.execute(statement)
    for statement in (*account_totals.statements(dialect), *account_changes.statements(dialect)):
        op.execute(statement)


def create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("open_id", byte_ordered(255), nullable=False),
        sa.Column("union_id", sa.Text(), nullable=True),
        sa.Column("username", sa.Text(), nullable=True),
        sa.Column("username_key", byte_ordered(200), nullable=True),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("display_name_key", byte_ordered(200), nullable=False),
        sa.Column("search_text", byte_ordered_text(), nullable=False),
        sa.Column("avatar_hash", sa.Text(), nullable=True),
        sa.Column("bio_description", sa.Text(), nullable=True),
        sa.Column("profile_url", sa.Text(), nullable=True),
        sa.Column("is_verified", sa.Boolean(), nullable=True),
        sa.Column(
            "status",
            closed("accountstatus", "ACTIVE", "INACTIVE", "EXPIRED"),
            nullable=False,
        ),
        sa.Column(
            "health_state",
            closed("healthstate", "HEALTHY", "DEGRADED", "BROKEN"),
            nullable=False,
        ),
        sa.Column("health_reason", sa.String(40), nullable=True),
        sa.Column("health_action", sa.String(40), nullable=False),
        sa.Column("health_since", UtcDateTime(), nullable=False),
        sa.Column("next_retry_at", UtcDateTime(), nullable=True),
        sa.Column("consecutive_failures", sa.Integer(), nullable=False),
        sa.Column("follower_count", sa.BigInteger(), nullable=True),
        sa.Column("following_count", sa.BigInteger(), nullable=True),
        sa.Column("likes_count", sa.BigInteger(), nullable=True),
        sa.Column("video_count", sa.BigInteger(), nullable=True),
        sa.Column("granted_scopes", sa.JSON(), nullable=False),
        sa.Column("last_synced_at", UtcDateTime(), nullable=True),
        sa.Column("token_expires_at", UtcDateTime(), nullable=True),
        sa.Column("reauthorize_by", UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("connected_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("disconnected_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("id", "viewer_id", name="accounts_id_with_viewer"),
    )
    op.create_index("accounts_open_id_once_per_viewer", "accounts", ["viewer_id", "open_id"], unique=True)


def create_account_totals() -> None:
    op.create_table(
        "account_totals",
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("part", sa.Uuid(), nullable=False),
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in account_totals.VALUES],
        sa.PrimaryKeyConstraint("viewer_id", "part"),
    )


def create_account_changes() -> None:
    op.create_table(
        "account_changes",
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("viewer_id"),
    )


def create_snapshots() -> None:
    op.create_table(
        "snapshots",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("is_thinned", sa.Boolean(), nullable=False),
        sa.Column("follower_count", sa.BigInteger(), nullable=True),
        sa.Column("following_count", sa.BigInteger(), nullable=True),
        sa.Column("likes_count", sa.BigInteger(), nullable=True),
        sa.Column("video_count", sa.BigInteger(), nullable=True),
        of_account(),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("snapshots_by_account", "snapshots", ["viewer_id", "account_id", "recorded_at"], unique=True)


def create_avatars() -> None:
    op.create_table(
        "avatars",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("stored_at", UtcDateTime(), nullable=False),
        of_account(),
        sa.PrimaryKeyConstraint("account_id", "content_hash"),
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for function in (*account_totals.functions(), *account_changes.functions()):
            op.execute(f"DROP FUNCTION {function}")
