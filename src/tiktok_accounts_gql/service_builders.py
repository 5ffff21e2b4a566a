"""Builds the services that others build on: those that TikTok is called with, tokens, syncs."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from tiktok_accounts_gql.db.quota import Endpoint, RateLimitPolicy
from tiktok_accounts_gql.infrastructure import Infrastructure
from tiktok_accounts_gql.services.durable_writes import CALLER_TIMEOUT_SECONDS, DurableWriter
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.rate_limiter import RateLimiter, build_rate_limit
from tiktok_accounts_gql.services.refresh_outcomes import RefreshOutcomes
from tiktok_accounts_gql.services.revocation_calls import RevocationCalls
from tiktok_accounts_gql.services.revocations import RevocationService
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

    async def close(self) -> None:
        """Wait for refreshes and revocations under way, and then until everything that they brought is stored."""
        await self.tokens.settle()
        await self.revocations.close()
        await self.storing.settle()


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
