"""Everything that runs, built from the settings and closed in the right order."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from tiktok_accounts_gql.clock import Clock, utc_now
from tiktok_accounts_gql.crypto import Place, Sealer, uncounted
from tiktok_accounts_gql.db.changes import Changes, open_changes
from tiktok_accounts_gql.db.cost_buckets import BucketSize
from tiktok_accounts_gql.db.database import Database, check_folder
from tiktok_accounts_gql.db.migrate import migrate
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.db.quota import Endpoint, RateLimitPolicy
from tiktok_accounts_gql.events import Hub
from tiktok_accounts_gql.jobs.queue import JobQueue, migrate_engine
from tiktok_accounts_gql.services.accounts import AccountService
from tiktok_accounts_gql.services.audit import AuditService
from tiktok_accounts_gql.services.audit_writer import AuditWriter
from tiktok_accounts_gql.services.authorizations import AuthorizationService
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.connections import ConnectionService
from tiktok_accounts_gql.services.cost_budget import CostBudget
from tiktok_accounts_gql.services.durable_writes import CALLER_TIMEOUT_SECONDS, DurableWriter
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog, ignore
from tiktok_accounts_gql.services.grant_checks import GrantChecks
from tiktok_accounts_gql.services.grant_readings import GrantReader
from tiktok_accounts_gql.services.grant_returns import GrantReturns
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.history import HistoryService
from tiktok_accounts_gql.services.idempotency import IdempotencyService
from tiktok_accounts_gql.services.live import LiveService
from tiktok_accounts_gql.services.login_kit import LoginKit
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.paging import Pager
from tiktok_accounts_gql.services.pruning import PruningService
from tiktok_accounts_gql.services.rate_limiter import PROBE_INTERVAL, RateLimiter, build_rate_limit
from tiktok_accounts_gql.services.refresh_outcomes import RefreshOutcomes
from tiktok_accounts_gql.services.removals import RemovalService
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.start_pages import StartPages
from tiktok_accounts_gql.services.streams import Streams
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
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.pictures import PictureClient

LEASE_MARGIN = timedelta(seconds=2)
SYNC_LEASE_MARGIN = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What a process has open."""

    db: Database
    hub: Hub
    notifications: Notifications
    changes: Changes
    services: Services
    grants: Grants
    tokens: TokenService
    revocations: RevocationService
    job_runner: JobRunner
    schedule: ScheduleService
    pruning: PruningService
    reader: RateLimitedReader
    failures: FailureLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Infrastructure:
    """What all services build on."""

    settings: Settings
    clock: Clock
    failures: FailureLog
    db: Database
    tiktok: TikTokClient
    pictures: PictureClient
    queue: JobQueue
    hub: Hub
    changes: Changes
    notifications: Notifications
    sealer: Sealer
    pager: Pager
    audit_writer: AuditWriter
    audit: AuditService
    avatars: AvatarService
    idempotency: IdempotencyService

    @property
    def call_timeout(self) -> timedelta:
        """How long a request to TikTok takes at most."""
        return timedelta(seconds=self.settings.tiktok_timeout_seconds)


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


async def migrate_everything(url: str) -> None:
    """Migrate our tables and the job engine's to this version. Raises ServiceUnavailable."""
    check_folder(url)
    db = Database.open(url)
    try:
        await migrate(db)
    finally:
        await db.close()
    await asyncio.to_thread(migrate_engine, url)


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    probe_interval: timedelta = PROBE_INTERVAL,
    count_unreadable: Callable[[Place], None] = uncounted,
    count_failure: Callable[[FailureKind], None] = ignore,
) -> AsyncGenerator[Running]:
    """Open everything, and close it after what is under way has ended: a rotated token is never dropped.

    `count_failure` is called for every failure of background work.
    """
    sealer = Sealer(settings.keys, count=count_unreadable)
    infrastructure = build_infrastructure(settings, clock=clock, sealer=sealer, failures=FailureLog(count_failure))
    gateway = build_gateway(infrastructure, probe_interval)
    tokens = build_tokens(infrastructure, gateway)
    sync = build_sync(infrastructure, gateway, tokens)
    connections = build_connections(infrastructure, gateway, tokens, sync)
    services = build_services(infrastructure, tokens, sync, connections)
    try:
        yield Running(
            db=infrastructure.db,
            hub=infrastructure.hub,
            notifications=infrastructure.notifications,
            changes=infrastructure.changes,
            services=services,
            grants=tokens.grants,
            tokens=tokens.tokens,
            revocations=tokens.revocations,
            job_runner=sync.job_runner,
            schedule=sync.schedule,
            pruning=PruningService(db=infrastructure.db, clock=clock),
            reader=gateway.reader,
            failures=infrastructure.failures,
        )
    finally:
        gateway.reader.stop()
        tokens.storing.stop()
        for close in (
            connections.authorizations.settle,
            sync.syncing.settle,
            tokens.tokens.settle,
            tokens.revocations.close,
            tokens.storing.settle,
            sync.leases.close,
            services.budget.close,
            infrastructure.audit_writer.close,
            infrastructure.tiktok.aclose,
            infrastructure.pictures.aclose,
            infrastructure.db.close,
        ):
            await close()
        infrastructure.queue.close()
        infrastructure.changes.close()


def build_infrastructure(settings: Settings, *, clock: Clock, sealer: Sealer, failures: FailureLog) -> Infrastructure:
    """Open the database, the clients and the queue; all of them connect when first used."""
    db = Database.open(settings.database_url, pool_size=settings.database_pool_size)
    hub, changes = Hub(clock=clock), open_changes(settings.database_url)
    audit_writer, pager = AuditWriter(db, failures), Pager(db)
    pictures = PictureClient.open(hosts=settings.tiktok_avatar_hosts)
    return Infrastructure(
        settings=settings,
        clock=clock,
        failures=failures,
        db=db,
        tiktok=TikTokClient.open(
            api_url=settings.tiktok_api_url,
            client_key=settings.tiktok_client_key,
            client_secret=settings.tiktok_client_secret,
            timeout=settings.tiktok_timeout_seconds,
        ),
        pictures=pictures,
        queue=JobQueue.open(settings.database_url),
        hub=hub,
        changes=changes,
        notifications=Notifications.open(
            settings.database_url,
            hub=hub,
            changes=changes,
            clock=clock,
            lost=lambda _: failures.count(FailureKind.LISTENER),
        ),
        sealer=sealer,
        pager=pager,
        audit_writer=audit_writer,
        audit=AuditService(db=db, writer=audit_writer, pager=pager, clock=clock),
        avatars=AvatarService(db=db, pictures=pictures, clock=clock),
        idempotency=IdempotencyService(clock=clock),
    )


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
        oauth=gateway.oauth,
        sealer=infrastructure.sealer,
        storing=storing,
        failures=failures,
        clock=clock,
        lease=lease + timedelta(seconds=CALLER_TIMEOUT_SECONDS),
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
        readings=GrantReader(db=db, reader=reader, grants=grants, avatars=avatars),
        returns=GrantReturns(
            db=db,
            oauth=oauth,
            reader=reader,
            grants=grants,
            audit=audit,
            notifications=notifications,
            revocations=revocations,
            clock=clock,
        ),
        audit=audit,
        notifications=notifications,
        avatars=avatars,
        storing=tokens.storing,
        revocations=revocations,
        times=sync.times,
        clock=clock,
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
            pager=infrastructure.pager,
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
        live=LiveService(db=db, hub=infrastructure.hub, audit=audit),
        removals=connections.removals,
        start_pages=connections.start_pages,
        streams=Streams(most=settings.streams_per_viewer),
        syncing=sync.syncing,
        webhooks=connections.webhooks,
        scopes=settings.tiktok_scopes,
        public_url=settings.public_url,
    )
