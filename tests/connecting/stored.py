"""Reads what is stored about one viewer's accounts."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from tiktok_accounts_gql.crypto import Sealer
from tiktok_accounts_gql.db import token_pairs
from tiktok_accounts_gql.db.models import (
    Account,
    AuditEvent,
    Avatar,
    ConnectionAttempt,
    PendingRevocation,
    Snapshot,
    TokenPair,
)
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A pair of tokens, decrypted."""

    access_token: str
    refresh_token: str | None


async def accounts(running: Running, viewer: str) -> list[Account]:
    statement = select(Account).where(col(Account.viewer_id) == viewer).order_by(col(Account.id))
    async with running.db.read() as session:
        return list(await session.scalars(statement))


async def events(running: Running, viewer: str) -> list[AuditEvent]:
    statement = select(AuditEvent).where(col(AuditEvent.viewer_id) == viewer).order_by(col(AuditEvent.id))
    async with running.db.read() as session:
        return list(await session.scalars(statement))


async def actions(running: Running, viewer: str) -> list[str]:
    return [str(event.action) for event in await events(running, viewer)]


async def snapshots(running: Running, viewer: str) -> list[Snapshot]:
    statement = select(Snapshot).where(col(Snapshot.viewer_id) == viewer).order_by(col(Snapshot.recorded_at))
    async with running.db.read() as session:
        return list(await session.scalars(statement))


async def sealed_pairs(running: Running, viewer: str) -> list[TokenPair]:
    statement = select(TokenPair).where(col(TokenPair.viewer_id) == viewer)
    async with running.db.read() as session:
        return list(await session.scalars(statement))


async def attempts(running: Running, viewer: str) -> list[ConnectionAttempt]:
    statement = select(ConnectionAttempt).where(col(ConnectionAttempt.viewer_id) == viewer)
    async with running.db.read() as session:
        return list(await session.scalars(statement.order_by(col(ConnectionAttempt.id))))


async def counts(running: Running, viewer: str) -> dict[str, int]:
    """Count the viewer's rows in the tables that connecting writes."""
    tables: tuple[Any, ...] = (Account, TokenPair, Snapshot, Avatar, PendingRevocation)
    async with running.db.read() as session:
        return {
            table.__tablename__: (
                await session.execute(select(func.count()).select_from(table).where(table.viewer_id == viewer))
            ).scalar_one()
            for table in tables
        }


async def reasons(running: Running, viewer: str, action: str = "AUTHORIZATION_FAILED") -> list[str | None]:
    """Return the `reason` of each event of this action, oldest first."""
    return [
        detail["value"]
        for event in await events(running, viewer)
        if event.action == action
        for detail in event.details
        if detail["name"] == "reason"
    ]


async def pair(running: Running, settings: Settings, account: Account) -> Pair:
    async with running.db.read() as session:
        sealed = await token_pairs.find(session, account.viewer_id, account.id)
    assert sealed is not None
    tokens = {
        column: Sealer(settings.keys).open(value, token_pairs.get_location(account.id, column))
        for column, value in (("access_token", sealed.access_token), ("refresh_token", sealed.refresh_token))
        if value is not None
    }
    return Pair(access_token=tokens["access_token"], refresh_token=tokens.get("refresh_token"))


async def has_no_rows(running: Running, viewer: str) -> bool:
    rows = [await read(running, viewer) for read in (accounts, events, snapshots, sealed_pairs)]
    return not any(rows)
