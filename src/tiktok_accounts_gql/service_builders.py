"""Builds the services, one group after another: those that TikTok is called with, tokens, syncs, connections, the rest."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from tiktok_accounts_gql.db.cost_buckets import BucketSize
from tiktok_accounts_gql.db.quota import Endpoint, RateLimitPolicy
from tiktok_accounts_gql.infrastructure import Infrastructure
from tiktok_accounts_gql.services.accounts import AccountService
from tiktok_accounts_gql.services.authorizations import AuthorizationService
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.connection_writer import ConnectionWriter
from tiktok_accounts_gql.services.connections import ConnectionService
from tiktok_accounts_gql.services.cost_budget import CostBudget
from tiktok_accounts_gql.services.durable_writes import CALLER_TIMEOUT_SECONDS, DurableWriter
from tiktok_accounts_gql.services.grant_checks import GrantChecks
from tiktok_accounts_gql.services.grant_readings import GrantReader
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.history import HistoryService
from tiktok_accounts_gql.services.login_kit import LoginKit
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.rate_limiter import RateLimiter, build_rate_limit
from tiktok_accounts_gql.services.refresh_outcomes import RefreshOutcomes
from tiktok_accounts_gql.services.rejected_grants import RejectedGrants
from tiktok_accounts_gql.services.removals import RemovalService
from tiktok_accounts_gql.services.revocation_calls import RevocationCalls
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.start_pages import StartPages
from tiktok_accounts_gql.services.streams import StreamLimiter
from tiktok_accounts_gql.services.subscriptions import SubscriptionService
from tiktok_accounts_gql.services.sync.job_lists import JobListService
from tiktok_accounts_gql.services.sync.job_progress import JobProgress
from tiktok_accounts_gql.services.sync.job_runner import JobRunner
from tiktok_accounts_gql.services.sync.jobs import JobService
from tiktok_accounts_gql.services.sync.leases import SyncLeases
from tiktok_accounts_gql.services.sync.outcome_writer import OutcomeWriter
from tiktok_accounts_gql.services.sync.outcomes import OutcomeServices
from tiktok_accounts_gql.services.sync.profile_reader import ProfileReader
from tiktok_accounts_gql.services.sync.schedule import ScheduleService
from tiktok_accounts_gql.services.sync.service import SyncService
from tiktok_accounts_gql.services.sync.sync_times import SyncTimes
from tiktok_accounts_gql.services.sync.tiktok_gateway import RateLimitedReader
from tiktok_accounts_gql.services.tokens import TokenService
from tiktok_accounts_gql.services.webhooks import WebhookService

LEASE_MARGIN = timedelta(seconds=2)
SYNC_LEASE_MARGIN = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class TikTokGateway:
    """TikTok's endpoints behind rate limiters."""

    rate_limit: RateLimitPolicy
    reader: RateLimitedReader
    oauth: OAuthCalls


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenServices:
    """The services that store, refresh and revoke grants."""

    storing: DurableWriter
    grants: Grants
    revocations: RevocationService
    tokens: TokenService


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncServices:
    """The services that sync accounts: at once, in jobs and by the schedule."""

    times: SyncTimes
    leases: SyncLeases
    syncing: SyncService
    jobs: JobService
    job_lists: JobListService
    job_runner: JobRunner
    schedule: ScheduleService


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionServices:
    """The services that connect accounts, and notice when TikTok ends a connection."""

    authorizations: AuthorizationService
    connections: ConnectionService
    removals: RemovalService
    start_pages: StartPages
    webhooks: WebhookService


def build_gateway(infrastructure: Infrastructure, probe_interval: timedelta) -> TikTokGateway:
    """Put a rate limiter in front of each endpoint of TikTok."""
    settings, tiktok, stopping = infrastructure.settings, infrastructure.tiktok, asyncio.Event()
    rate_limit = build_rate_limit(
        settings.tiktok_requests_per_minute,
        failures=settings.tiktok_failures_before_pause,
        probe_interval=probe_interval,
    )
    limiters = {
        endpoint: RateLimiter(db=infrastructure.db, endpoint=endpoint, policy=rate_limit, stopping=stopping)
        for endpoint in Endpoint
    }
    return TikTokGateway(
        rate_limit=rate_limit,
        reader=RateLimitedReader(limiter=limiters[Endpoint.USER_INFO], tiktok=tiktok),
        oauth=OAuthCalls(
            token_limiter=limiters[Endpoint.TOKEN], revoke_limiter=limiters[Endpoint.REVOKE], tiktok=tiktok
        ),
    )


def build_tokens(infrastructure: Infrastructure, gateway: TikTokGateway) -> TokenServices:
    db, clock, failures = infrastructure.db, infrastructure.clock, infrastructure.failures
    storing = DurableWriter()
    grants = Grants(db=db, sealer=infrastructure.sealer, scopes=infrastructure.settings.tiktok_scopes, clock=clock)
    lease = 2 * infrastructure.call_timeout + LEASE_MARGIN  # a refresh may take two calls
    revocations = RevocationService(
        db=db,
        calls=RevocationCalls(
            db=db,
            oauth=gateway.oauth,
            sealer=infrastructure.sealer,
            storing=storing,
            clock=clock,
            lease=lease + timedelta(seconds=CALLER_TIMEOUT_SECONDS),
        ),
        sealer=infrastructure.sealer,
        failures=failures,
        clock=clock,
    )
    outcomes = RefreshOutcomes(
        db=db,
        grants=grants,
        audit=infrastructure.audit,
        notifications=infrastructure.notifications,
        storing=storing,
        revocations=revocations,
        clock=clock,
        lease=lease,
    )
    tokens = TokenService(
        db=db,
        oauth=gateway.oauth,
        grants=grants,
        outcomes=outcomes,
        storing=storing,
        clock=clock,
        lease=lease,
        failures=failures,
    )
    return TokenServices(storing=storing, grants=grants, revocations=revocations, tokens=tokens)


def build_sync(infrastructure: Infrastructure, gateway: TikTokGateway, tokens: TokenServices) -> SyncServices:
    db, clock, queue, audit = infrastructure.db, infrastructure.clock, infrastructure.queue, infrastructure.audit
    settings, notifications, avatars = infrastructure.settings, infrastructure.notifications, infrastructure.avatars
    times = SyncTimes(interval=settings.sync_interval)
    leases = SyncLeases(db=db, length=infrastructure.call_timeout + SYNC_LEASE_MARGIN)
    outcomes = OutcomeWriter(
        db=db,
        leases=leases,
        services=OutcomeServices(
            audit=audit,
            notifications=notifications,
            avatars=avatars,
            times=times,
            requested_scopes=frozenset(settings.tiktok_scopes),
        ),
        batch_size=settings.worker_concurrency,
    )
    profiles = ProfileReader(gateway=gateway.reader, tokens=tokens.tokens, leases=leases)
    syncing = SyncService(db=db, profiles=profiles, leases=leases, avatars=avatars, outcomes=outcomes, clock=clock)
    progress = JobProgress(audit=audit, notifications=notifications, clock=clock)
    return SyncServices(
        times=times,
        leases=leases,
        syncing=syncing,
        jobs=JobService(db=db, queue=queue, progress=progress, idempotency=infrastructure.idempotency, clock=clock),
        job_lists=JobListService(
            db=db, audit=audit, pager=infrastructure.pager, clock=clock, interval=gateway.rate_limit.interval
        ),
        job_runner=JobRunner(
            db=db,
            queue=queue,
            syncing=syncing,
            progress=progress,
            clock=clock,
            batch_size=settings.worker_concurrency,
        ),
        schedule=ScheduleService(
            db=db, queue=queue, syncing=syncing, times=times, failures=infrastructure.failures, clock=clock
        ),
    )


def build_connections(
    infrastructure: Infrastructure, gateway: TikTokGateway, tokens: TokenServices, sync: SyncServices
) -> ConnectionServices:
    db, clock, settings, audit = infrastructure.db, infrastructure.clock, infrastructure.settings, infrastructure.audit
    notifications, avatars, sealer = infrastructure.notifications, infrastructure.avatars, infrastructure.sealer
    oauth, reader, grants, revocations = gateway.oauth, gateway.reader, tokens.grants, tokens.revocations
    connections = ConnectionService(
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
    login_kit = LoginKit(
        start_url=settings.start_url,
        authorize_url=settings.tiktok_authorize_url,
        client_key=settings.tiktok_client_key,
        redirect_uri=settings.redirect_uri,
        scopes=settings.tiktok_scopes,
        desktop=settings.tiktok_login_platform == "desktop",
    )
    checks = GrantChecks(tokens=tokens.tokens, reader=reader)
    removals = RemovalService(db=db, audit=audit, notifications=notifications, checks=checks, clock=clock)
    return ConnectionServices(
        authorizations=AuthorizationService(
            db=db,
            connections=connections,
            audit=audit,
            sealer=sealer,
            login_kit=login_kit,
            return_origins=settings.origins,
            clock=clock,
        ),
        connections=connections,
        removals=removals,
        start_pages=StartPages(db=db, sealer=sealer, login_kit=login_kit, clock=clock),
        webhooks=WebhookService(
            db=db,
            removals=removals,
            client_secret=settings.tiktok_client_secret.get_secret_value(),
            max_age=timedelta(seconds=settings.webhook_max_age_seconds),
            clock=clock,
            failures=infrastructure.failures,
        ),
    )


def build_services(
    infrastructure: Infrastructure, tokens: TokenServices, sync: SyncServices, connections: ConnectionServices
) -> Services:
    """Build the services that remain, and collect all those that resolvers and commands call."""
    db, clock, settings, audit = infrastructure.db, infrastructure.clock, infrastructure.settings, infrastructure.audit
    bucket = BucketSize(limit=settings.cost_limit, restored=settings.cost_restore_rate)
    return Services(
        accounts=AccountService(
            db=db,
            audit=audit,
            notifications=infrastructure.notifications,
            idempotency=infrastructure.idempotency,
            revocations=tokens.revocations,
            clock=clock,
        ),
        audit=audit,
        authorizations=connections.authorizations,
        avatars=infrastructure.avatars,
        budget=CostBudget(db=db, size=bucket if settings.limits_cost else None, clock=clock),
        connections=connections.connections,
        history=HistoryService(db=db, clock=clock, failures=infrastructure.failures),
        jobs=sync.jobs,
        job_lists=sync.job_lists,
        subscriptions=SubscriptionService(db=db, hub=infrastructure.hub, audit=audit),
        removals=connections.removals,
        start_pages=connections.start_pages,
        streams=StreamLimiter(limit=settings.streams_per_viewer),
        syncing=sync.syncing,
        webhooks=connections.webhooks,
        scopes=settings.tiktok_scopes,
        public_url=settings.public_url,
    )
