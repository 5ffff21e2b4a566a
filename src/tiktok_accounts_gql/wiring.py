"""Everything that runs, built from the settings and closed in the right order."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from tiktok_accounts_gql.clock import Clock, utc_now
from tiktok_accounts_gql.crypto import Sealer, derive_key
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.services import revocations as owed
from tiktok_accounts_gql.services import tokens as renewals
from tiktok_accounts_gql.services import webhooks as told
from tiktok_accounts_gql.services.accounts import AccountService
from tiktok_accounts_gql.services.audit import AuditService
from tiktok_accounts_gql.services.audit_writer import AuditWriter
from tiktok_accounts_gql.services.authorizations import AuthorizationService, LoginKit
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.connections import ConnectionService
from tiktok_accounts_gql.services.history import HistoryService
from tiktok_accounts_gql.services.idempotency import IdempotencyService
from tiktok_accounts_gql.services.paging import Pager
from tiktok_accounts_gql.services.removals import RemovalService
from tiktok_accounts_gql.services.repeating import repeatedly
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.syncing import SyncService
from tiktok_accounts_gql.services.tokens import TokenService
from tiktok_accounts_gql.services.webhooks import WebhookService
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.pictures import PictureClient

LEASE_MARGIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What a process has open."""

    db: Database
    services: Services
    tokens: TokenService
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
    pictures = PictureClient.open(hosts=settings.tiktok_avatar_hosts)
    writer = AuditWriter(db)
    pager = Pager(db, derive_key(settings.keys[-1], "cursors"))
    sealer = Sealer(settings.keys)
    audit = AuditService(db=db, writer=writer, pager=pager, clock=clock)
    two_calls = timedelta(seconds=2 * settings.tiktok_timeout_seconds)
    tokens = TokenService(db=db, tiktok=tiktok, sealer=sealer, audit=audit, clock=clock, lease=two_calls + LEASE_MARGIN)
    avatars = AvatarService(db=db, pictures=pictures, clock=clock)
    scopes = settings.tiktok_scopes
    syncing = SyncService(db=db, tiktok=tiktok, tokens=tokens, audit=audit, avatars=avatars, scopes=scopes, clock=clock)
    connections = ConnectionService(
        db=db, tiktok=tiktok, tokens=tokens, audit=audit, avatars=avatars, scopes=scopes, clock=clock
    )
    authorizations = AuthorizationService(
        db=db,
        connections=connections,
        audit=audit,
        sealer=sealer,
        login_kit=_login_kit(settings),
        return_origins={*settings.allowed_origins, _origin(settings.public_url)},
        clock=clock,
    )
    revocations = RevocationService(db=db, tiktok=tiktok, sealer=sealer, clock=clock)
    removals = RemovalService(db=db, audit=audit, clock=clock)
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
        authorizations=authorizations,
        avatars=avatars,
        connections=connections,
        history=HistoryService(db=db, clock=clock),
        removals=removals,
        syncing=syncing,
        webhooks=WebhookService(
            db=db,
            removals=removals,
            client_secret=settings.tiktok_client_secret.get_secret_value(),
            max_age=timedelta(seconds=settings.webhook_max_age_seconds),
            clock=clock,
        ),
        scopes=scopes,
        public_url=settings.public_url,
    )
    try:
        yield Running(db=db, services=services, tokens=tokens, revocations=revocations)
    finally:
        under_way = (authorizations.settle, syncing.settle, tokens.settle, writer.close)
        for settle in (*under_way, tiktok.aclose, pictures.aclose, db.close):
            await settle()


def _login_kit(settings: Settings) -> LoginKit:
    return LoginKit(
        authorize_url=settings.tiktok_authorize_url,
        client_key=settings.tiktok_client_key,
        redirect_uri=settings.redirect_uri,
        scopes=settings.tiktok_scopes,
        desktop=settings.tiktok_login_platform == "desktop",
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@asynccontextmanager
async def in_background(running: Running) -> AsyncGenerator[None]:
    """The work that goes on beside the requests."""
    webhooks = running.services.webhooks
    work = (
        repeatedly(running.revocations.settle_due, every=owed.RETRY_EVERY),
        repeatedly(running.tokens.renew_ending, every=renewals.RENEW_ENDING_EVERY),
        repeatedly(webhooks.process_all, every=told.RETRY_EVERY, wake=webhooks.arrived),
    )
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
