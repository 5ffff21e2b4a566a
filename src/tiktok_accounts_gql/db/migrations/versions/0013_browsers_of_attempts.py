"""A connection attempt is for one browser, and for somebody with a name."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("connection_attempts", sa.Column("viewer_name", sa.Text(), nullable=True))
    op.add_column("connection_attempts", sa.Column("browser_hash", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("connection_attempts", "browser_hash")
    op.drop_column("connection_attempts", "viewer_name")
