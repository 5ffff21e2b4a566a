"""Each viewer's budget of cost points."""

import sqlalchemy as sa
from alembic import op

from tiktok_accounts_gql.db.types import UtcDateTime, byte_ordered

revision, down_revision = "0010", "0009"


def upgrade() -> None:
    op.create_table(
        "cost_buckets",
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("points", sa.Float(), nullable=False),
        sa.Column("counted_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("viewer_id"),
    )
    op.create_index("cost_buckets_by_age", "cost_buckets", ["counted_at"])


def downgrade() -> None:
    op.drop_table("cost_buckets")
