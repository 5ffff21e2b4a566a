"""Events name their account as it was called then; jobs know the request that asked for them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit_events", sa.Column("account_username", sa.Text(), nullable=True))
    op.add_column("sync_jobs", sa.Column("request_id", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("sync_jobs", "request_id")
    op.drop_column("audit_events", "account_username")
