"""Statements about avatars: copies of the pictures of accounts."""

from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.models import Account, Avatar
from tiktok_accounts_gql.db.tables import table_of
from tiktok_accounts_gql.db.unit_of_work import defer_rows

MAX_COPIES = 2  # for each account: the newest, and the one that clients may still show


async def find_source(session: AsyncSession, viewer_id: str, account_id: UUID, content_hash: str) -> str | None:
    """Return the URL that a stored picture was copied from."""
    statement = select(col(Avatar.source)).where(
        col(Avatar.viewer_id) == viewer_id,
        col(Avatar.account_id) == account_id,
        col(Avatar.content_hash) == content_hash,
    )
    source: str | None = await session.scalar(statement)
    return source


def store(session: AsyncSession, avatar: Avatar) -> None:
    """Insert or replace a picture before the transaction commits, and delete all but the newest `MAX_COPIES`."""
    key = {"of_viewer": avatar.viewer_id, "of_account": avatar.account_id, "hash": avatar.content_hash}
    defer_rows(session, _DELETE_SAME, [key])
    defer_rows(session, _INSERT, [avatar.model_dump()])
    defer_rows(session, _DELETE_OLD, [key])


async def erase(session: AsyncSession, viewer_id: str, account_id: UUID) -> None:
    await session.execute(
        delete(Avatar).where(col(Avatar.viewer_id) == viewer_id, col(Avatar.account_id) == account_id)
    )


async def find(session: AsyncSession, account_id: UUID, content_hash: str) -> Avatar | None:
    """Return a picture of a connected account. No viewer is named: knowing the link is the permission."""
    key = (col(Avatar.account_id) == account_id, col(Avatar.content_hash) == content_hash)
    connected = col(Account.disconnected_at).is_(None)
    statement = select(Avatar).join(Account, col(Account.id) == col(Avatar.account_id)).where(*key, connected)
    return (await session.scalars(statement)).one_or_none()


_avatars = table_of(Avatar)
_is_of_account = (_avatars.c.viewer_id == bindparam("of_viewer"), _avatars.c.account_id == bindparam("of_account"))
_newest = select(_avatars.c.content_hash).where(*_is_of_account).order_by(_avatars.c.stored_at.desc()).limit(MAX_COPIES)
_DELETE_SAME = delete(_avatars).where(*_is_of_account, _avatars.c.content_hash == bindparam("hash"))
_INSERT = insert(_avatars)
_DELETE_OLD = delete(_avatars).where(*_is_of_account, _avatars.c.content_hash.not_in(_newest))
