"""Everything that runs, built from the settings and closed in the right order."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tiktok_accounts_gql.clock import Clock, utc_now
from tiktok_accounts_gql.crypto import Sealer, derive_key
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.services.accounts import AccountService
from tiktok_accounts_gql.services.audit import AuditService
from tiktok_accounts_gql.services.audit_writer import AuditWriter
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.connections import ConnectionService
from tiktok_accounts_gql.services.history import HistoryService
from tiktok_accounts_gql.services.idempotency import IdempotencyService
from tiktok_accounts_gql.services.paging import Pager
from tiktok_accounts_gql.services.removals import RemovalService
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.syncing import SyncService
from tiktok_accounts_gql.services.tokens import TokenService
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TikTokClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What a process has open."""

    db: Database
    services: Services
    revocations: RevocationService


@asynccontextmanager
async def open_services(settings: Settings, *, clock: Clock = utc_now) -> AsyncGenerator[Running]:
    """Closes what it opened after what is under way has ended: a rotated token is never dropped."""
    db = Database.open(settings.database_url, pool_size=settings.database_pool_size)
    tiktok = TikTokClient.open(
        api_url=settings.tiktok_api_url,
        client_key=settings.tiktok_client_key,
        client_secret=settings.tiktok_client_secret,
        timeout=settings.tiktok_timeout_seconds,
    )
    writer = AuditWriter(db)
    pager = Pager(db, derive_key(settings.keys[-1], "cursors"))
    sealer = Sealer(settings.keys)
    audit = AuditService(db=db, writer=writer, pager=pager, clock=clock)
    tokens = TokenService(db=db, tiktok=tiktok, sealer=sealer, audit=audit, clock=clock)
    syncing = SyncService(db=db, tiktok=tiktok, tokens=tokens, audit=audit, clock=clock)
    revocations = RevocationService(db=db, tiktok=tiktok, sealer=sealer, clock=clock)
    services = Services(
        accounts=AccountService(
            db=db,
            audit=audit,
            pager=pager,
            idempotency=IdempotencyService(clock=clock),
            revocations=revocations,
            clock=clock,
        ),
        audit=audit,
        connections=ConnectionService(db=db, tiktok=tiktok, tokens=tokens, audit=audit, clock=clock),
        history=HistoryService(db=db, clock=clock),
        removals=RemovalService(db=db, audit=audit, clock=clock),
        syncing=syncing,
        scopes=settings.tiktok_scopes,
    )
    try:
        yield Running(db=db, services=services, revocations=revocations)
    finally:
        for settle in (syncing.settle, tokens.settle, writer.close, tiktok.aclose, db.close):
            await settle()


@asynccontextmanager
async def in_background(running: Running) -> AsyncGenerator[None]:
    """The work that goes on beside the requests."""
    task = asyncio.create_task(running.revocations.settle_forever())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
