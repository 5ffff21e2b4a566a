"""The quota of requests to TikTok, over all processes, by the database's clock.

A generic cell rate algorithm in one row: `next_at` is when the next request may be sent if all are evenly spaced. After a
pause some requests may follow each other at once (`burst`). So any period sees `period / interval + burst` at most.

The same row holds the circuit breaker: after some failures in a row nobody asks TikTok, but for one probe now and then.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.closing import write_at_end
from tiktok_accounts_gql.db.models import RequestQuota
from tiktok_accounts_gql.db.tables import table_of

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
    """When a request may be sent; `wait` until then. If it is not `granted`, nothing was taken: try again then.

    `next_wait`: until there may be another one within the same time.
    """

    granted: bool
    wait: timedelta
    next_wait: timedelta = timedelta(0)
    is_down: bool = False
    failures: int = 0


async def take(session: AsyncSession, pace: Pace, *, within: timedelta) -> Slot:
    """A slot in a transaction of its own, if there is one within that time."""
    quota, now = await _locked(session)
    is_down = quota.closed_until is not None
    if quota.closed_until is not None and quota.closed_until > now:
        return Slot(granted=False, wait=quota.closed_until - now, is_down=True)
    at = max(quota.next_at, now - pace.interval * pace.burst)
    if at - now > within:
        return Slot(granted=False, wait=at - now - within)
    closed_until = now + pace.probe_every if is_down else None
    write_at_end(session, _TAKE, [{"new_next_at": at + pace.interval, "new_closed_until": closed_until}])
    next_wait = at + pace.interval - now - within
    return Slot(granted=True, wait=max(at - now, timedelta(0)), next_wait=next_wait, failures=quota.failures)


async def closed_for(session: AsyncSession) -> timedelta:
    """How long nobody asks TikTok from now on, for it is taken to be down."""
    quota = (await session.execute(_CLOSED)).one_or_none()
    if quota is None or quota.closed_until is None:
        return timedelta(0)
    left: timedelta = quota.closed_until - quota.now
    return max(left, timedelta(0))


async def report(session: AsyncSession, pace: Pace, *, answered: bool) -> bool:
    """Whether TikTok answered a request; returns whether it is taken to be down from now on."""
    quota, now = await _locked(session)
    failures = 0 if answered else quota.failures + 1
    closed_until = now + pace.probe_every if failures >= pace.failures else None
    values = {"failures": failures, "closed_until": closed_until}
    await session.execute(update(_quota).where(_ours).values(**values))
    return closed_until is not None


async def _locked(session: AsyncSession) -> tuple[Row[Any], datetime]:
    """The row, and what time it is."""
    quota = (await session.execute(_LOCKED)).one_or_none()
    if quota is None:
        insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(_quota)
        await session.execute(insert.values(name=NAME, next_at=FromNow(), failures=0).on_conflict_do_nothing())
        quota = (await session.execute(_LOCKED)).one()
    return quota, quota.now


_quota = table_of(RequestQuota)
_ours = _quota.c.name == NAME
_LOCKED = select(_quota, FromNow().label("now")).where(_ours).with_for_update()
_TAKE = update(_quota).where(_ours).values(next_at=bindparam("new_next_at"), closed_until=bindparam("new_closed_until"))
_CLOSED = select(_quota.c.closed_until, FromNow().label("now")).where(_ours)
