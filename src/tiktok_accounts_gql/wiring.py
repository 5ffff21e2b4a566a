"""Opens everything that a process needs, and closes it in the right order."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from tiktok_accounts_gql.clock import Clock, utc_now
from tiktok_accounts_gql.connection_builders import ConnectionServices, build_connections
from tiktok_accounts_gql.crypto import Sealer, SecretLocation, ignore_failure
from tiktok_accounts_gql.db.change_versions import ChangeVersions
from tiktok_accounts_gql.db.cost_buckets import BucketSize
from tiktok_accounts_gql.db.database import Database, check_sqlite_folder
from tiktok_accounts_gql.db.migrate import migrate
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.events import Hub
from tiktok_accounts_gql.infrastructure import Infrastructure, build_infrastructure
from tiktok_accounts_gql.jobs.queue import migrate_engine
from tiktok_accounts_gql.service_builders import SyncServices, TokenServices, build_gateway, build_sync, build_tokens
from tiktok_accounts_gql.services.accounts import AccountService
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.cost_budget import CostBudget
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog, ignore
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.history import HistoryService
from tiktok_accounts_gql.services.pruning import PruningService
from tiktok_accounts_gql.services.rate_limiter import PROBE_INTERVAL
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.streams import StreamLimiter
from tiktok_accounts_gql.services.subscriptions import SubscriptionService
from tiktok_accounts_gql.services.sync.job_runner import JobRunner
from tiktok_accounts_gql.services.sync.schedule import ScheduleService
from tiktok_accounts_gql.services.sync.tiktok_gateway import RateLimitedReader
from tiktok_accounts_gql.services.tokens import TokenService
from tiktok_accounts_gql.settings import Settings


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
    job_runner: JobRunner
    schedule: ScheduleService
    pruning: PruningService
    reader: RateLimitedReader
    failures: FailureLog


async def migrate_everything(url: str) -> None:
    """Migrate our tables and the job engine's to this version. Raises ServiceUnavailable."""
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
    probe_interval: timedelta = PROBE_INTERVAL,
    count_unreadable: Callable[[SecretLocation], None] = ignore_failure,
    count_failure: Callable[[FailureKind], None] = ignore,
) -> AsyncGenerator[Running]:
    """Open everything, and close it after what is under way has ended: a rotated token is never dropped.

    `count_failure` is called for every failure of background work.
    """
    sealer = Sealer(settings.keys, on_failure=count_unreadable)
    infrastructure = build_infrastructure(settings, clock=clock, sealer=sealer, failures=FailureLog(count_failure))
    gateway = build_gateway(infrastructure, probe_interval)
    tokens = build_tokens(infrastructure, gateway)
    sync = build_sync(infrastructure, gateway, tokens)
    connections = build_connections(infrastructure, gateway, tokens, sync)
    services = _build_services(infrastructure, tokens, sync, connections)
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
        await connections.authorizations.settle()
        await sync.syncing.settle()
        await tokens.close()
        await sync.leases.close()
        await services.budget.close()
        await infrastructure.close()


def _build_services(
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
