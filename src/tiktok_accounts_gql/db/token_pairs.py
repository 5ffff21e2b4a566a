"""Statements about sealed tokens: the only ones that load any."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.crypto import Place
from tiktok_accounts_gql.db.models import TokenPair


def place(account_id: UUID, column: str) -> Place:
    return Place(table=TokenPair.__tablename__, column=column, row=account_id)


async def find(session: AsyncSession, viewer_id: str, account_id: UUID) -> TokenPair | None:
    owned = select(TokenPair).where(col(TokenPair.viewer_id) == viewer_id, col(TokenPair.account_id) == account_id)
    return (await session.scalars(owned)).one_or_none()


async def save(
    session: AsyncSession,
    viewer_id: str,
    account_id: UUID,
    *,
    access_token: bytes,
    refresh_token: bytes | None,
    now: datetime,
) -> None:
    """Replaces what is stored; without a new refresh token the stored one stays."""
    pair = await find(session, viewer_id, account_id)
    if pair is None:
        pair = TokenPair(account_id=account_id, viewer_id=viewer_id, access_token=access_token, updated_at=now)
        session.add(pair)
    pair.access_token = access_token
    pair.refresh_token = refresh_token or pair.refresh_token
    pair.updated_at = now


async def erase(session: AsyncSession, viewer_id: str, account_id: UUID) -> None:
    owned = (col(TokenPair.viewer_id) == viewer_id, col(TokenPair.account_id) == account_id)
    await session.execute(delete(TokenPair).where(*owned))
