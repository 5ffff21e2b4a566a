"""Alembic's entry: runs the migrations on the connection that `db.migrate` hands over."""

from alembic import context
from sqlmodel import SQLModel

from tiktok_accounts_gql.db import models  # noqa: F401 - fills the metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
