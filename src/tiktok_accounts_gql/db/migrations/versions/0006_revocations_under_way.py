"""Which of the owed revocations somebody is about to carry out."""

import sqlalchemy as sa
from alembic import op

from tiktok_accounts_gql.db.types import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("owed_revocations", sa.Column("lease_until", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("owed_revocations", "lease_until")
