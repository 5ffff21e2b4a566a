"""Everything that runs, built from the settings and closed in the right order."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from tiktok_accounts_gql.clock import Clock, utc_now
from tiktok_accounts_gql.crypto import Sealer, SecretLocation, ignore_failure
from tiktok_accounts_gql.db.change_versions import ChangeVersions, open_change_versions
from tiktok_accounts_gql.db.cost_buckets import BucketSize
from tiktok_accounts_gql.db.database import Database, check_sqlite_folder
from tiktok_accounts_gql.db.migrate import migrate
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.db.quota import Endpoint
from tiktok_accounts_gql.events import Hub
from tiktok_accounts_gql.jobs.queue import JobQueue, migrate_engine
from tiktok_accounts_gql.services.accounts import AccountService
from tiktok_accounts_gql.services.audit import AuditService
from tiktok_accounts_gql.services.audit_writer import AuditWriter
from tiktok_accounts_gql.services.authorizations import AuthorizationService
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.connection_writer import ConnectionWriter
from tiktok_accounts_gql.services.connections import ConnectionService
from tiktok_accounts_gql.services.cost_budget import CostBudget
from tiktok_accounts_gql.services.failures import FailureKind, Failures, ignore
from tiktok_accounts_gql.services.grant_checks import GrantChecks
from tiktok_accounts_gql.services.grant_readings import GrantReader
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.history import HistoryService
from tiktok_accounts_gql.services.idempotency import IdempotencyService
from tiktok_accounts_gql.services.jobs import JobService
from tiktok_accounts_gql.services.login_kit import LoginKit
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.paging import Pager
from tiktok_accounts_gql.services.pruning import PruningService
from tiktok_accounts_gql.services.rejected_grants import RejectedGrants
from tiktok_accounts_gql.services.removals import RemovalService
from tiktok_accounts_gql.services.renewals import Renewals
from tiktok_accounts_gql.services.revocation_calls import RevocationCalls
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.scheduling import ScheduleService
from tiktok_accounts_gql.services.slots import PROBE_EVERY, Slots, pace_of
from tiktok_accounts_gql.services.start_pages import StartPages
from tiktok_accounts_gql.services.storing import PATIENCE_SECONDS, Storing
from tiktok_accounts_gql.services.streams import StreamLimiter
from tiktok_accounts_gql.services.subscriptions import SubscriptionService
from tiktok_accounts_gql.services.sync.endings import SyncEndings
from tiktok_accounts_gql.services.sync.job_lists import JobListService
from tiktok_accounts_gql.services.sync.job_progress import JobProgress
from tiktok_accounts_gql.services.sync.job_work import JobWork
from tiktok_accounts_gql.services.sync.leases import Leases
from tiktok_accounts_gql.services.sync.syncing import SyncService
from tiktok_accounts_gql.services.sync.tiktok_gateway import AccountReader
from tiktok_accounts_gql.services.sync_times import SyncTimes
from tiktok_accounts_gql.services.tokens import TokenService
from tiktok_accounts_gql.services.webhooks import WebhookService
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.pictures import PictureClient

LEASE_MARGIN = timedelta(seconds=2)
READING_MARGIN = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What a process has open."""

    db: Database
    hub: Hub
    notifications: Notifications
    changes: ChangeVersions
    services: Services
    grants: Grants
    tokens: TokenService
    revocations: RevocationService
    job_work: JobWork
    schedule: ScheduleService
    pruning: PruningService
    reader: AccountReader
    failures: Failures


async def migrate_everything(url: str) -> None:
    """Brings our tables and the job engine's up to this version. Raises ServiceUnavailable."""
    check_sqlite_folder(url)
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
    probe_interval: timedelta = PROBE_EVERY,
    count_unreadable: Callable[[SecretLocation], None] = ignore_failure,
    count_failure: Callable[[FailureKind], None] = ignore,
) -> AsyncGenerator[Running]:
    """Closes what it opened after what is under way has ended: a rotated token is never dropped.

    `count_failure` is called for everything that fails in the background.
    """
    failure_log = Failures(count_failure)
    db = Database.open(settings.database_url, pool_size=settings.database_pool_size)
    tiktok = TikTokClient.open(
        api_url=settings.tiktok_api_url,
        client_key=settings.tiktok_client_key,
        client_secret=settings.tiktok_client_secret,
        timeout=settings.tiktok_timeout_seconds,
    )
    pictures = PictureClient.open(hosts=settings.tiktok_avatar_hosts)
    writer = AuditWriter(db, failure_log)
    pager = Pager(db)
    sealer = Sealer(settings.keys, on_failure=count_unreadable)
    audit = AuditService(db=db, writer=writer, pager=pager, clock=clock)
    two_calls = timedelta(seconds=2 * settings.tiktok_timeout_seconds)
    hub = Hub(clock=clock)
    changes = open_change_versions(settings.database_url)
    notifications = Notifications.open(
        settings.database_url,
        hub=hub,
        changes=changes,
        clock=clock,
        on_error=lambda _: failure_log.count(FailureKind.LISTENER),
    )
    scopes = settings.tiktok_scopes
    grants = Grants(db=db, sealer=sealer, scopes=scopes, clock=clock)
    failures, stopping = settings.tiktok_failures_before_pause, asyncio.Event()
    pace = pace_of(settings.tiktok_requests_per_minute, failures=failures, probe_interval=probe_interval)
    slots = {endpoint: Slots(db=db, endpoint=endpoint, pace=pace, stopping=stopping) for endpoint in Endpoint}
    reader = AccountReader(slots=slots[Endpoint.USER_INFO], tiktok=tiktok)
    oauth = OAuthCalls(token_slots=slots[Endpoint.TOKEN], revoke_slots=slots[Endpoint.REVOKE], tiktok=tiktok)
    storing = Storing()
    revocations = RevocationService(
        db=db,
        calls=RevocationCalls(
            db=db,
            oauth=oauth,
            sealer=sealer,
            storing=storing,
            clock=clock,
            lease=two_calls + timedelta(seconds=PATIENCE_SECONDS) + LEASE_MARGIN,
        ),
        sealer=sealer,
        failures=failure_log,
        clock=clock,
    )
    token_lease = two_calls + LEASE_MARGIN
    renewals = Renewals(
        db=db,
        grants=grants,
        audit=audit,
        notifications=notifications,
        storing=storing,
        revocations=revocations,
        clock=clock,
        lease=token_lease,
    )
    tokens = TokenService(
        db=db,
        oauth=oauth,
        grants=grants,
        renewals=renewals,
        storing=storing,
        clock=clock,
        lease=token_lease,
        failures=failure_log,
    )
    times = SyncTimes(interval=settings.sync_interval)
    avatars = AvatarService(db=db, pictures=pictures, clock=clock)
    leases = Leases(db=db, length=timedelta(seconds=settings.tiktok_timeout_seconds) + READING_MARGIN)
    endings = SyncEndings(
        db=db,
        audit=audit,
        notifications=notifications,
        avatars=avatars,
        leases=leases,
        asked_scopes=scopes,
        times=times,
        clock=clock,
        at_once=settings.worker_concurrency,
    )
    syncing = SyncService(db=db, reader=reader, tokens=tokens, leases=leases, endings=endings, clock=clock)
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
            times=times,
            clock=clock,
        ),
        audit=audit,
        storing=storing,
        revocations=revocations,
    )
    queue = JobQueue.open(settings.database_url)
    progress = JobProgress(audit=audit, notifications=notifications, clock=clock)
    idempotency = IdempotencyService(clock=clock)
    login_kit = _login_kit(settings)
    authorizations = AuthorizationService(
        db=db,
        connections=connections,
        audit=audit,
        sealer=sealer,
        login_kit=login_kit,
        return_origins=settings.origins,
        clock=clock,
    )
    budget = CostBudget(db=db, size=_bucket_size(settings), clock=clock)
    checks = GrantChecks(tokens=tokens, reader=reader)
    removals = RemovalService(db=db, audit=audit, notifications=notifications, checks=checks, clock=clock)
    services = Services(
        accounts=AccountService(
            db=db,
            audit=audit,
            notifications=notifications,
            idempotency=idempotency,
            revocations=revocations,
            clock=clock,
        ),
        audit=audit,
        authorizations=authorizations,
        avatars=avatars,
        budget=budget,
        connections=connections,
        history=HistoryService(db=db, clock=clock, failures=failure_log),
        jobs=JobService(db=db, queue=queue, progress=progress, idempotency=idempotency, clock=clock),
        job_lists=JobListService(db=db, audit=audit, pager=pager, clock=clock, interval=pace.interval),
        subscriptions=SubscriptionService(db=db, hub=hub, audit=audit),
        removals=removals,
        start_pages=StartPages(db=db, sealer=sealer, login_kit=login_kit, clock=clock),
        streams=StreamLimiter(limit=settings.streams_per_viewer),
        syncing=syncing,
        webhooks=WebhookService(
            db=db,
            removals=removals,
            client_secret=settings.tiktok_client_secret.get_secret_value(),
            max_age=timedelta(seconds=settings.webhook_max_age_seconds),
            clock=clock,
            failures=failure_log,
        ),
        scopes=scopes,
        public_url=settings.public_url,
    )
    try:
        yield Running(
            db=db,
            hub=hub,
            notifications=notifications,
            changes=changes,
            services=services,
            grants=grants,
            tokens=tokens,
            revocations=revocations,
            job_work=JobWork(
                db=db,
                queue=queue,
                syncing=syncing,
                progress=progress,
                clock=clock,
                at_once=settings.worker_concurrency,
            ),
            pruning=PruningService(db=db, clock=clock),
            schedule=ScheduleService(
                db=db, queue=queue, syncing=syncing, times=times, failures=failure_log, clock=clock
            ),
            reader=reader,
            failures=failure_log,
        )
    finally:
        reader.stop()
        storing.stop()
        under_way = (
            authorizations.settle,
            syncing.settle,
            tokens.settle,
            revocations.close,
            storing.settle,
            leases.close,
            budget.close,
            writer.close,
        )
        for settle in (*under_way, tiktok.aclose, pictures.aclose, db.close):
            await settle()
        queue.close()
        changes.close()


def _bucket_size(settings: Settings) -> BucketSize | None:
    """None without a limit."""
    if not settings.limits_cost:
        return None
    return BucketSize(limit=settings.cost_limit, restored=settings.cost_restore_rate)


def _login_kit(settings: Settings) -> LoginKit:
    return LoginKit(
        start_url=settings.start_url,
        authorize_url=settings.tiktok_authorize_url,
        client_key=settings.tiktok_client_key,
        redirect_uri=settings.redirect_uri,
        scopes=settings.tiktok_scopes,
        desktop=settings.tiktok_login_platform == "desktop",
    )
