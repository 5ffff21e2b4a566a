"""Writes of many accounts in one transaction: one statement locks them, and one for each set of columns updates them."""

from collections.abc import Collection
from functools import cache
from typing import Unpack
from uuid import UUID

from sqlalchemy import Update, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import col

from tiktok_accounts_gql.db.account_update import AccountUpdate
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.db.tables import table_of
from tiktok_accounts_gql.db.unit_of_work import defer_rows


async def lock(
    session: AsyncSession, keys: Collection[tuple[str, UUID]], *, wait: bool = True
) -> dict[tuple[str, UUID], Account]:
    """Lock connected accounts until the transaction ends, and return them by viewer and id.

    With `wait=False`, accounts that another transaction has locked are left out.
    """
    viewers, ids = zip(*keys, strict=True)  # not as pairs, for which SQLite uses no index
    statement = select(Account).where(
        col(Account.viewer_id).in_(set(viewers)), col(Account.id).in_(ids), col(Account.disconnected_at).is_(None)
    )
    statement = statement.order_by(col(Account.id)).with_for_update(key_share=True, skip_locked=not wait)
    return {(account.viewer_id, account.id): account for account in await session.scalars(statement)}


def update_at_commit(session: AsyncSession, account: Account, **values: Unpack[AccountUpdate]) -> Account:
    """Set a locked account's columns, and write them before the commit, together with others of the same columns."""
    parameters = {"of_viewer": account.viewer_id, "of_account": account.id}
    for name, value in values.items():
        set_committed_value(account, name, value)
        parameters[f"new_{name}"] = value
    defer_rows(session, _build_update(tuple(sorted(values))), [parameters])
    return account


@cache
def _build_update(names: tuple[str, ...]) -> Update:
    """Return the statement for a set of columns. There are few: those that change together."""
    key = (_accounts.c.viewer_id == bindparam("of_viewer"), _accounts.c.id == bindparam("of_account"))
    return update(_accounts).where(*key).values({name: bindparam(f"new_{name}") for name in names})


_accounts = table_of(Account)
