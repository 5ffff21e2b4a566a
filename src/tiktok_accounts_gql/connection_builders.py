"""Builds the services that connect accounts, and that notice when TikTok ends a connection."""

from dataclasses import dataclass
from datetime import timedelta

from tiktok_accounts_gql.infrastructure import Infrastructure
from tiktok_accounts_gql.service_builders import SyncServices, TikTokGateway, TokenServices
from tiktok_accounts_gql.services.authorizations import AuthorizationService
from tiktok_accounts_gql.services.connection_writer import ConnectionWriter
from tiktok_accounts_gql.services.connections import ConnectionService
from tiktok_accounts_gql.services.grant_checks import GrantChecks
from tiktok_accounts_gql.services.grant_readings import GrantReader
from tiktok_accounts_gql.services.login_kit import LoginKit
from tiktok_accounts_gql.services.rejected_grants import RejectedGrants
from tiktok_accounts_gql.services.removals import RemovalService
from tiktok_accounts_gql.services.start_pages import StartPages
from tiktok_accounts_gql.services.webhooks import WebhookService
from tiktok_accounts_gql.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionServices:
    """The services that connect accounts, and notice when TikTok ends a connection."""

    authorizations: AuthorizationService
    connections: ConnectionService
    removals: RemovalService
    start_pages: StartPages
    webhooks: WebhookService


def build_connections(
    infrastructure: Infrastructure, gateway: TikTokGateway, tokens: TokenServices, sync: SyncServices
) -> ConnectionServices:
    db, clock, settings, audit = infrastructure.db, infrastructure.clock, infrastructure.settings, infrastructure.audit
    connections = _build_connection_service(infrastructure, gateway, tokens, sync)
    login_kit = _build_login_kit(settings)
    checks = GrantChecks(tokens=tokens.tokens, reader=gateway.reader)
    removals = RemovalService(
        db=db, audit=audit, notifications=infrastructure.notifications, checks=checks, clock=clock
    )
    return ConnectionServices(
        authorizations=AuthorizationService(
            db=db,
            connections=connections,
            audit=audit,
            sealer=infrastructure.sealer,
            login_kit=login_kit,
            return_origins=settings.origins,
            clock=clock,
        ),
        connections=connections,
        removals=removals,
        start_pages=StartPages(db=db, sealer=infrastructure.sealer, login_kit=login_kit, clock=clock),
        webhooks=WebhookService(
            db=db,
            removals=removals,
            client_secret=settings.tiktok_client_secret.get_secret_value(),
            max_age=timedelta(seconds=settings.webhook_max_age_seconds),
            clock=clock,
            failures=infrastructure.failures,
        ),
    )


def _build_connection_service(
    infrastructure: Infrastructure, gateway: TikTokGateway, tokens: TokenServices, sync: SyncServices
) -> ConnectionService:
    db, clock, audit = infrastructure.db, infrastructure.clock, infrastructure.audit
    notifications, avatars = infrastructure.notifications, infrastructure.avatars
    oauth, reader, grants, revocations = gateway.oauth, gateway.reader, tokens.grants, tokens.revocations
    return ConnectionService(
        db=db,
        oauth=oauth,
        grants=grants,
        grant_reader=GrantReader(db=db, reader=reader, grants=grants, avatars=avatars),
        rejected_grants=RejectedGrants(
            db=db,
            oauth=oauth,
            reader=reader,
            grants=grants,
            audit=audit,
            notifications=notifications,
            revocations=revocations,
            clock=clock,
        ),
        writer=ConnectionWriter(
            db=db,
            grants=grants,
            audit=audit,
            notifications=notifications,
            avatars=avatars,
            times=sync.times,
            clock=clock,
        ),
        audit=audit,
        storing=tokens.storing,
        revocations=revocations,
    )


def _build_login_kit(settings: Settings) -> LoginKit:
    return LoginKit(
        start_url=settings.start_url,
        authorize_url=settings.tiktok_authorize_url,
        client_key=settings.tiktok_client_key,
        redirect_uri=settings.redirect_uri,
        scopes=settings.tiktok_scopes,
        desktop=settings.tiktok_login_platform == "desktop",
    )
