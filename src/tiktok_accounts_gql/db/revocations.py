"""Statements about revocations that are owed to TikTok."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.crypto import Place
from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.models import Account, OwedRevocation


def place(revocation_id: UUID, column: str) -> Place:
    return Place(table=OwedRevocation.__tablename__, column=column, row=revocation_id)


async def add(session: AsyncSession, owed: OwedRevocation) -> None:
    await session.execute(insert(OwedRevocation).values(**owed.model_dump()))


async def claim_due(session: AsyncSession, *, now: datetime, until: datetime, limit: int) -> Sequence[OwedRevocation]:
    """Revocations whose turn it is, of all viewers; nobody else gets them before `until`."""
    due = select(col(OwedRevocation.id)).where(col(OwedRevocation.next_attempt_at) <= now, _free()).limit(limit)
    claimed = (
        update(OwedRevocation)
        .where(col(OwedRevocation.id).in_(due), col(OwedRevocation.next_attempt_at) <= now, _free())
        .values(next_attempt_at=until)
        .returning(OwedRevocation)
    )
    return (await session.scalars(claimed, execution_options={"populate_existing": True})).all()


async def lease(session: AsyncSession, owed: OwedRevocation, *, seconds: float) -> bool:
    """The right to carry it out; False if it is not owed any more, or was postponed."""
    same = (*_owned(owed.viewer_id, owed.id), col(OwedRevocation.next_attempt_at) == owed.next_attempt_at)
    leased = update(OwedRevocation).where(*same).values(lease_until=FromNow(seconds)).returning(col(OwedRevocation.id))
    return await session.scalar(leased, execution_options={"synchronize_session": False}) is not None


async def rotate(session: AsyncSession, viewer_id: str, revocation_id: UUID, *, seconds: float, **values: Any) -> bool:
    """The next pair of tokens, with a lease from now on; False if it is not owed any more."""
    changed = update(OwedRevocation).where(*_owned(viewer_id, revocation_id))
    rotated = changed.values(lease_until=FromNow(seconds), **values).returning(col(OwedRevocation.id))
    return await session.scalar(rotated) is not None


async def release(session: AsyncSession, viewer_id: str, revocation_id: UUID) -> None:
    """It stays owed."""
    await session.execute(update(OwedRevocation).where(*_owned(viewer_id, revocation_id)).values(lease_until=None))


async def settle(session: AsyncSession, viewer_id: str, revocation_id: UUID) -> None:
    await session.execute(delete(OwedRevocation).where(*_owned(viewer_id, revocation_id)))


async def postpone(session: AsyncSession, viewer_id: str, *, until: datetime) -> bool:
    """None of the viewer's begins before `until`; False while one is being carried out."""
    of_viewer = col(OwedRevocation.viewer_id) == viewer_id
    await session.execute(update(OwedRevocation).where(of_viewer, _free()).values(next_attempt_at=until))
    return await _none(session, of_viewer, ~_free())


async def cancel(session: AsyncSession, open_id: str) -> bool:
    """Nothing is owed for this TikTok account any more, whoever gave it up; False while that is being carried out."""
    same = select(col(Account.id)).where(
        col(Account.id) == col(OwedRevocation.account_id), col(Account.open_id) == open_id
    )
    await session.execute(delete(OwedRevocation).where(same.exists(), _free()))
    return await _none(session, same.exists())


def _free() -> ColumnElement[bool]:
    return or_(col(OwedRevocation.lease_until).is_(None), col(OwedRevocation.lease_until) <= FromNow())


async def _none(session: AsyncSession, *where: ColumnElement[bool]) -> bool:
    return await session.scalar(select(col(OwedRevocation.id)).where(*where).limit(1)) is None


def _owned(viewer_id: str, revocation_id: UUID) -> tuple[Any, Any]:
    return col(OwedRevocation.viewer_id) == viewer_id, col(OwedRevocation.id) == revocation_id
