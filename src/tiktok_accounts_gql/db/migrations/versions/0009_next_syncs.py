"""When an account is synced next, and when a webhook is tried again."""

import sqlalchemy as sa
from alembic import op

from tiktok_accounts_gql.db.types import UtcDateTime

revision, down_revision = "0009", "0008"

FILLED = 10_000
CONNECTED, ON_SCHEDULE = "disconnected_at IS NULL", "disconnected_at IS NULL AND status = 'ACTIVE'"
SOON = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now', (abs(random()) % 86400) || ' seconds') || '000'",
    "postgresql": "now() + random() * interval '1 day'",
}


def upgrade() -> None:
    op.add_column("accounts", sa.Column("next_sync_at", UtcDateTime(), nullable=True))
    op.drop_index("accounts_of_the_schedule", "accounts")
    fill()
    partial("accounts_due", "accounts", "status", "next_sync_at", where=ON_SCHEDULE)
    op.add_column("webhook_events", sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("webhook_events", sa.Column("next_attempt_at", UtcDateTime(), nullable=True))


def fill() -> None:
    """Spread over the coming day. The schedule places what is left in small transactions, and what lies beyond a shorter
    interval: an UPDATE of millions of rows would keep everybody else from them until all migrations have ended."""
    some = f"SELECT id FROM accounts WHERE {ON_SCHEDULE} LIMIT {FILLED}"
    op.execute(f"UPDATE accounts SET next_sync_at = {SOON[op.get_bind().dialect.name]} WHERE id IN ({some})")


def partial(name: str, table: str, *columns: str, where: str) -> None:
    where_text = sa.text(where)
    op.create_index(
        name, table, [sa.text(one) for one in columns], postgresql_where=where_text, sqlite_where=where_text
    )


def downgrade() -> None:
    op.drop_column("webhook_events", "next_attempt_at")
    op.drop_column("webhook_events", "attempts")
    op.drop_index("accounts_due", "accounts")
    partial("accounts_of_the_schedule", "accounts", "status", "last_synced_at", "connected_at", where=CONNECTED)
    op.drop_column("accounts", "next_sync_at")
