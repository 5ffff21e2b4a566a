"""Statements about sealed tokens: the only ones that load any."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
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
    owned = (col(TokenPair.viewer_id) == viewer_id, col(TokenPair.account_id) == account_id)
    new: dict[str, Any] = {"access_token": access_token, "updated_at": now}
    if refresh_token is not None:
        new["refresh_token"] = refresh_token
    replaced = update(TokenPair).where(*owned).values(new).returning(col(TokenPair.account_id))
    if await session.scalar(replaced) is None:
        session.add(TokenPair(account_id=account_id, viewer_id=viewer_id, **new))


async def erase(session: AsyncSession, viewer_id: str, account_id: UUID) -> None:
    owned = (col(TokenPair.viewer_id) == viewer_id, col(TokenPair.account_id) == account_id)
    await session.execute(delete(TokenPair).where(*owned))
