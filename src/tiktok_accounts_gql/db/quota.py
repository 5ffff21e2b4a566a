"""The quota of requests to TikTok, over all processes, by the database's clock.

A generic cell rate algorithm in one row: `next_at` is when the next request may be sent if all are evenly spaced. After a
pause some requests may follow each other at once (`burst`). So any period sees `period / interval + burst` at most.

The same row holds the circuit breaker: after some failures in a row nobody asks TikTok, but for one probe now and then.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.clock import now as now_of
from tiktok_accounts_gql.db.models import RequestQuota

NAME = "user info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`probe_every`: how often TikTok is asked while it is taken to be down, after so many `failures` in a row."""

    interval: timedelta
    burst: int
    failures: int
    probe_every: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """When a request may be sent; `wait` until then. If it is not `granted`, nothing was taken: try again then."""

    granted: bool
    wait: timedelta
    is_down: bool = False
    failures: int = 0


async def take(session: AsyncSession, pace: Pace, *, within: timedelta) -> Slot:
    """A slot in a transaction of its own, if there is one within that time."""
    quota, now = await _locked(session), await now_of(session)
    is_down = quota.closed_until is not None
    if quota.closed_until is not None and quota.closed_until > now:
        return Slot(granted=False, wait=quota.closed_until - now, is_down=True)
    at = max(quota.next_at, now - pace.interval * pace.burst)
    if at - now > within:
        return Slot(granted=False, wait=at - now - within)
    values = {"next_at": at + pace.interval, **({"closed_until": now + pace.probe_every} if is_down else {})}
    await session.execute(update(RequestQuota).where(col(RequestQuota.name) == NAME).values(**values))
    return Slot(granted=True, wait=max(at - now, timedelta(0)), failures=quota.failures)


async def closed_for(session: AsyncSession) -> timedelta:
    """How long nobody asks TikTok from now on, for it is taken to be down."""
    closed_until = await session.scalar(select(col(RequestQuota.closed_until)).where(col(RequestQuota.name) == NAME))
    left = timedelta(0) if closed_until is None else closed_until - await now_of(session)
    return max(left, timedelta(0))


async def report(session: AsyncSession, pace: Pace, *, answered: bool) -> bool:
    """Whether TikTok answered a request; returns whether it is taken to be down from now on."""
    quota, now = await _locked(session), await now_of(session)
    failures = 0 if answered else quota.failures + 1
    closed_until = now + pace.probe_every if failures >= pace.failures else None
    values = {"failures": failures, "closed_until": closed_until}
    await session.execute(update(RequestQuota).where(col(RequestQuota.name) == NAME).values(**values))
    return closed_until is not None


async def _locked(session: AsyncSession) -> RequestQuota:
    locked = select(RequestQuota).where(col(RequestQuota.name) == NAME).with_for_update()
    options = {"populate_existing": True}
    quota = (await session.scalars(locked, execution_options=options)).one_or_none()
    if quota is None:
        insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(RequestQuota)
        await session.execute(insert.values(name=NAME, next_at=FromNow(), failures=0).on_conflict_do_nothing())
        quota = (await session.scalars(locked, execution_options=options)).one()
    return quota
