"""Opens everything that a process needs, and closes it in the right order."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from tiktok_accounts_gql.clock import Clock, utc_now
from tiktok_accounts_gql.crypto import Sealer, SecretLocation, ignore_failure
from tiktok_accounts_gql.db.change_versions import ChangeVersions
from tiktok_accounts_gql.db.database import Database, check_sqlite_folder
from tiktok_accounts_gql.db.migrate import migrate
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.events import Hub
from tiktok_accounts_gql.infrastructure import build_infrastructure
from tiktok_accounts_gql.jobs.queue import migrate_engine
from tiktok_accounts_gql.service_builders import (
    build_connections,
    build_gateway,
    build_services,
    build_sync,
    build_tokens,
)
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog, ignore
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.pruning import PruningService
from tiktok_accounts_gql.services.rate_limiter import PROBE_INTERVAL
from tiktok_accounts_gql.services.revocations import RevocationService
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
