"""Accounts that are changed together: locked by one statement, and written by one for each set of columns."""

from collections.abc import Collection
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Update, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import col

from tiktok_accounts_gql.db.closing import write_at_end
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.db.tables import table_of


async def lock(
    session: AsyncSession, owned: Collection[tuple[str, UUID]], *, wait: bool = True
) -> dict[tuple[str, UUID], Account]:
    """Those that are connected, by viewer and id; nobody else changes them until the transaction ends.

    `wait`: or else without those that somebody else is changing at this moment.
    """
    viewers, ids = zip(*owned, strict=True)  # not by pairs, which SQLite finds by no index
    same = (col(Account.viewer_id).in_(set(viewers)), col(Account.id).in_(ids))
    connected = select(Account).where(*same, col(Account.disconnected_at).is_(None))
    in_order = connected.order_by(col(Account.id)).with_for_update(key_share=True, skip_locked=not wait)
    locked = await session.scalars(in_order)
    return {(account.viewer_id, account.id): account for account in locked}


def amend(session: AsyncSession, account: Account, **values: Any) -> Account:
    """A locked account, as it is at the end of the session's transaction: changed in bulk with others."""
    for name, value in values.items():
        set_committed_value(account, name, value)
    row = {"of_viewer": account.viewer_id, "of_account": account.id, **{f"new_{name}": values[name] for name in values}}
    write_at_end(session, _amended(tuple(sorted(values))), [row])
    return account


@cache
def _amended(names: tuple[str, ...]) -> Update:
    """For the few sets of columns that change together."""
    own = (_accounts.c.viewer_id == bindparam("of_viewer"), _accounts.c.id == bindparam("of_account"))
    return update(_accounts).where(*own).values({name: bindparam(f"new_{name}") for name in names})


_accounts = table_of(Account)
