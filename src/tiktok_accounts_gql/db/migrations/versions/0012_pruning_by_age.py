"""Old idempotency keys and connection attempts are found whoever they are of."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("idempotency_keys_by_time", "idempotency_keys", ["created_at"])
    op.create_index("connection_attempts_by_time", "connection_attempts", ["expires_at"])


def downgrade() -> None:
    op.drop_index("connection_attempts_by_time", "connection_attempts")
    op.drop_index("idempotency_keys_by_time", "idempotency_keys")
