"""Statements about copies of pictures."""

from uuid import UUID

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.models import Account, Avatar

KEPT = 2  # the newest, and the one that clients may still show


async def find_source(session: AsyncSession, viewer_id: str, account_id: UUID, content_hash: str) -> str | None:
    """Where a stored picture came from."""
    own = (col(Avatar.viewer_id) == viewer_id, col(Avatar.account_id) == account_id)
    found: str | None = await session.scalar(
        select(col(Avatar.source)).where(*own, col(Avatar.content_hash) == content_hash)
    )
    return found


async def store(session: AsyncSession, avatar: Avatar) -> None:
    """Adds a picture, or finds it there, and forgets those before the last one."""
    own = (col(Avatar.viewer_id) == avatar.viewer_id, col(Avatar.account_id) == avatar.account_id)
    await session.execute(delete(Avatar).where(*own, col(Avatar.content_hash) == avatar.content_hash))
    await session.execute(insert(Avatar).values(**avatar.model_dump()))
    newest = select(col(Avatar.content_hash)).where(*own).order_by(col(Avatar.stored_at).desc()).limit(KEPT)
    forgotten = delete(Avatar).where(*own, col(Avatar.content_hash).not_in(newest))
    await session.execute(forgotten, execution_options={"synchronize_session": False})


async def erase(session: AsyncSession, viewer_id: str, account_id: UUID) -> None:
    own = (col(Avatar.viewer_id) == viewer_id, col(Avatar.account_id) == account_id)
    await session.execute(delete(Avatar).where(*own))


async def find(session: AsyncSession, account_id: UUID, content_hash: str) -> Avatar | None:
    """For whoever has the link, which takes the place of a viewer: it names an account that is connected."""
    wanted = (col(Avatar.account_id) == account_id, col(Avatar.content_hash) == content_hash)
    connected = col(Account.disconnected_at).is_(None)
    statement = select(Avatar).join(Account, col(Account.id) == col(Avatar.account_id)).where(*wanted, connected)
    return (await session.scalars(statement)).one_or_none()
