"""What was done, and what was answered."""

import sqlalchemy as sa
from alembic import op

from tiktok_accounts_gql.db.migrations.columns import closed, of_account
from tiktok_accounts_gql.db.types import UtcDateTime, byte_ordered

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("audit_events", "idempotency_keys")

INDEXES = (
    "CREATE INDEX audit_events_by_account ON audit_events (viewer_id, account_id, created_at DESC, id DESC)",
    "CREATE INDEX audit_events_by_time ON audit_events (viewer_id, created_at DESC, id DESC)",
    "CREATE INDEX audit_events_of_changes ON audit_events (viewer_id, created_at DESC, id DESC) WHERE is_change",
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


def upgrade() -> None:
    create_audit_events()
    create_idempotency_keys()
    for statement in (*INDEXES, *APPEND_ONLY[op.get_bind().dialect.name]):
        op.execute(statement)


def create_audit_events() -> None:
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
            closed("auditactor", "USER", "SYSTEM", "TIKTOK"),
            nullable=False,
        ),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("ip_address", sa.Text(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        of_account(),
        sa.PrimaryKeyConstraint("id"),
    )


def create_idempotency_keys() -> None:
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


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change_of_audit_events")
