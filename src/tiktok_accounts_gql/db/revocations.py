"""Statements about revocations that are owed to TikTok."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.crypto import Place
from tiktok_accounts_gql.db.models import OwedRevocation


def place(revocation_id: UUID, column: str) -> Place:
    return Place(table=OwedRevocation.__tablename__, column=column, row=revocation_id)


async def claim_due(session: AsyncSession, *, now: datetime, until: datetime, limit: int) -> Sequence[OwedRevocation]:
    """Revocations whose turn it is, of all viewers; nobody else gets them before `until`."""
    due = select(col(OwedRevocation.id)).where(col(OwedRevocation.next_attempt_at) <= now).limit(limit)
    claimed = (
        update(OwedRevocation)
        .where(col(OwedRevocation.id).in_(due), col(OwedRevocation.next_attempt_at) <= now)
        .values(next_attempt_at=until)
        .returning(OwedRevocation)
    )
    return (await session.scalars(claimed, execution_options={"populate_existing": True})).all()


async def change(session: AsyncSession, viewer_id: str, revocation_id: UUID, **values: Any) -> None:
    await session.execute(update(OwedRevocation).where(*_owned(viewer_id, revocation_id)).values(**values))


async def settle(session: AsyncSession, viewer_id: str, revocation_id: UUID) -> None:
    await session.execute(delete(OwedRevocation).where(*_owned(viewer_id, revocation_id)))


def _owned(viewer_id: str, revocation_id: UUID) -> tuple[Any, Any]:
    return col(OwedRevocation.viewer_id) == viewer_id, col(OwedRevocation.id) == revocation_id
