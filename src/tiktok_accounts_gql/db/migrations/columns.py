"""What migrations have in common. Frozen, as they are: the models may move on."""

import sqlalchemy as sa


def closed(name: str, *words: str) -> sa.Enum:
    return sa.Enum(*words, name=f"{name}_known", native_enum=False, create_constraint=True, length=40)


def of_account() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["account_id", "viewer_id"], ["accounts.id", "accounts.viewer_id"])
