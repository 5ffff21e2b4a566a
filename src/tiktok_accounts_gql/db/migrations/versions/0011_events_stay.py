"""On SQLite, INSERT OR REPLACE deletes without asking the triggers of DELETE: an event whose place is taken is refused."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

REFUSE_REPLACE = (
    "CREATE TRIGGER audit_events_refuse_replace BEFORE INSERT ON audit_events "
    "WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id) "
    "OR EXISTS (SELECT 1 FROM audit_events WHERE rowid = NEW.rowid) "
    "BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END"
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(REFUSE_REPLACE)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_events_refuse_replace")
