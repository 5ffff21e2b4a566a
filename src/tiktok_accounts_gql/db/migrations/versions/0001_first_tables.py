"""The first tables."""

import sqlalchemy as sa
from alembic import op

from tiktok_accounts_gql.db.migrations import account_changes, account_totals
from tiktok_accounts_gql.db.types import UtcDateTime, byte_ordered, byte_ordered_text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "workers",
    "request_quotas",
    "sync_results",
    "sync_jobs",
    "avatars",
    "webhook_events",
    "connection_attempts",
    "idempotency_keys",
    "audit_events",
    "snapshots",
    "owed_revocations",
    "token_pairs",
    "accounts",
    "account_totals",
    "account_changes",
)

JOB_STATES = ("QUEUED", "RUNNING", "CANCELING", "SUCCEEDED", "PARTIALLY_FAILED", "FAILED", "CANCELED")
OUTCOMES = ("PENDING", "SUCCEEDED", "FAILED", "CANCELED")

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
    "CREATE INDEX accounts_by_status ON accounts (viewer_id, status, created_at DESC, id DESC) WHERE disconnected_at IS NULL",
    "CREATE UNIQUE INDEX accounts_open_id_connected_once ON accounts (open_id) WHERE disconnected_at IS NULL",
    "CREATE INDEX audit_events_by_account ON audit_events (viewer_id, account_id, created_at DESC, id DESC)",
    "CREATE INDEX audit_events_by_time ON audit_events (viewer_id, created_at DESC, id DESC)",
    "CREATE INDEX audit_events_of_changes ON audit_events (viewer_id, created_at DESC, id DESC) WHERE is_change",
    "CREATE INDEX snapshots_to_thin ON snapshots (hour, account_id) WHERE NOT is_thinned",
    "CREATE INDEX sync_jobs_by_time ON sync_jobs (viewer_id, created_at DESC, id DESC)",
    "CREATE INDEX sync_jobs_by_state ON sync_jobs (viewer_id, state, created_at DESC, id DESC)",
    "CREATE INDEX sync_results_pending ON sync_results (viewer_id, turn) WHERE outcome = 'PENDING'",
    "CREATE INDEX sync_results_in_turn ON sync_results (turn) WHERE outcome = 'PENDING'",
    "CREATE INDEX webhook_events_waiting ON webhook_events (received_at) WHERE processed_at IS NULL",
)

APPEND_ONLY = {
    "sqlite": tuple(
        f"CREATE TRIGGER audit_events_refuse_{change.lower()} BEFORE {change} ON audit_events "
        "BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END"
        for change in ("UPDATE", "DELETE")
    ),
    "postgresql": (
        "CREATE FUNCTION refuse_change_of_audit_events() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'audit events are append-only'; END $$",
        "CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_events()",
    ),
}

SEARCH = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE EXTENSION IF NOT EXISTS btree_gin",
    "CREATE INDEX accounts_search ON accounts USING gin (viewer_id, search_text gin_trgm_ops) "
    "WHERE disconnected_at IS NULL",
)


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    create_tables()
    for name, columns in ORDERS.items():
        indexed = f"{columns}{SEARCHED[dialect]}"
        op.execute(f"CREATE INDEX {name} ON accounts ({indexed}) WHERE disconnected_at IS NULL")
    for statement in (*INDEXES, *APPEND_ONLY[dialect], *(SEARCH if dialect == "postgresql" else ())):
        op.execute(statement)
    for statement in (*account_totals.statements(dialect), *account_changes.statements(dialect)):
        op.execute(statement)


def create_tables() -> None:
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
            sa.Enum(
                "ACTIVE",
                "INACTIVE",
                "EXPIRED",
                name="accountstatus_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "health_state",
            sa.Enum(
                "HEALTHY",
                "DEGRADED",
                "BROKEN",
                name="healthstate_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
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
    op.create_table(
        "account_totals",
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("part", sa.Uuid(), nullable=False),
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in account_totals.VALUES],
        sa.PrimaryKeyConstraint("viewer_id", "part"),
    )
    op.create_table(
        "account_changes",
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("viewer_id"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("key", byte_ordered(255), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("input_hash", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("viewer_id", "key"),
    )
    op.create_index("idempotency_keys_by_age", "idempotency_keys", ["viewer_id", "created_at"], unique=False)
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("is_change", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column(
            "actor",
            sa.Enum(
                "USER",
                "SYSTEM",
                "TIKTOK",
                name="auditactor_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("ip_address", sa.Text(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["account_id", "viewer_id"], ["accounts.id", "accounts.viewer_id"]),
        sa.PrimaryKeyConstraint("id"),
    )
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
        sa.ForeignKeyConstraint(["account_id", "viewer_id"], ["accounts.id", "accounts.viewer_id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("owed_revocations_due", "owed_revocations", ["next_attempt_at"], unique=False)
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
        sa.ForeignKeyConstraint(["account_id", "viewer_id"], ["accounts.id", "accounts.viewer_id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("snapshots_by_account", "snapshots", ["viewer_id", "account_id", "recorded_at"], unique=True)
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
        sa.ForeignKeyConstraint(["account_id", "viewer_id"], ["accounts.id", "accounts.viewer_id"]),
        sa.PrimaryKeyConstraint("account_id"),
    )
    create_tables_of_connecting()
    create_tables_of_jobs()


def create_tables_of_jobs() -> None:
    op.create_table(
        "sync_jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("state", _closed("jobstate", JOB_STATES), nullable=False),
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
    op.create_table(
        "sync_results",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", _closed("syncoutcome", OUTCOMES), nullable=False),
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
    op.create_table(
        "request_quotas",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("closed_until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "workers",
        sa.Column("executor_id", sa.Text(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("executor_id"),
    )


def _closed(name: str, words: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*words, name=f"{name}_known", native_enum=False, create_constraint=True, length=40)


def create_tables_of_connecting() -> None:
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
        sa.ForeignKeyConstraint(["account_id", "viewer_id"], ["accounts.id", "accounts.viewer_id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("connection_attempts_by_state", "connection_attempts", ["state_hash"], unique=True)
    op.create_index("connection_attempts_by_age", "connection_attempts", ["viewer_id", "expires_at"], unique=False)
    op.create_table(
        "webhook_events",
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("processed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("body_hash"),
    )
    op.create_table(
        "avatars",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("stored_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["account_id", "viewer_id"], ["accounts.id", "accounts.viewer_id"]),
        sa.PrimaryKeyConstraint("account_id", "content_hash"),
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        own = (*account_totals.functions(), *account_changes.functions())
        for function in ("refuse_change_of_audit_events", *own):
            op.execute(f"DROP FUNCTION {function}")
