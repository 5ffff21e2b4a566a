"""Statements about copies of pictures."""

from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.closing import write_at_end
from tiktok_accounts_gql.db.models import Account, Avatar
from tiktok_accounts_gql.db.tables import table_of

KEPT = 2  # the newest, and the one that clients may still show


async def find_source(session: AsyncSession, viewer_id: str, account_id: UUID, content_hash: str) -> str | None:
    """Where a stored picture came from."""
    own = (col(Avatar.viewer_id) == viewer_id, col(Avatar.account_id) == account_id)
    found: str | None = await session.scalar(
        select(col(Avatar.source)).where(*own, col(Avatar.content_hash) == content_hash)
    )
    return found


def store(session: AsyncSession, avatar: Avatar) -> None:
    """Adds a picture at the end of the session's transaction, or finds it there, and forgets those before the last one."""
    key = {"of_viewer": avatar.viewer_id, "of_account": avatar.account_id, "hash": avatar.content_hash}
    write_at_end(session, _ERASE_SAME, [key])
    write_at_end(session, _ADD, [avatar.model_dump()])
    write_at_end(session, _FORGET_OLD, [key])


async def erase(session: AsyncSession, viewer_id: str, account_id: UUID) -> None:
    own = (col(Avatar.viewer_id) == viewer_id, col(Avatar.account_id) == account_id)
    await session.execute(delete(Avatar).where(*own))


async def find(session: AsyncSession, account_id: UUID, content_hash: str) -> Avatar | None:
    """For whoever has the link, which takes the place of a viewer: it names an account that is connected."""
    wanted = (col(Avatar.account_id) == account_id, col(Avatar.content_hash) == content_hash)
    connected = col(Account.disconnected_at).is_(None)
    statement = select(Avatar).join(Account, col(Account.id) == col(Avatar.account_id)).where(*wanted, connected)
    return (await session.scalars(statement)).one_or_none()


_avatars = table_of(Avatar)
_own = (_avatars.c.viewer_id == bindparam("of_viewer"), _avatars.c.account_id == bindparam("of_account"))
_newest = select(_avatars.c.content_hash).where(*_own).order_by(_avatars.c.stored_at.desc()).limit(KEPT)
_ERASE_SAME = delete(_avatars).where(*_own, _avatars.c.content_hash == bindparam("hash"))
_ADD = insert(_avatars)
_FORGET_OLD = delete(_avatars).where(*_own, _avatars.c.content_hash.not_in(_newest))
