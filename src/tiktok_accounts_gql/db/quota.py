"""The quotas of requests to TikTok, over all processes, by the database's clock: one row for each endpoint.

A generic cell rate algorithm: `next_at` is when the next request may be sent if all are evenly spaced. After a pause some
requests may follow each other at once (`burst`). So any period sees `period / interval + burst` at most.

The same row holds the endpoint's circuit breaker: after some accounts in a row that TikTok did not answer about, nobody asks,
but for one probe now and then.

A clock that was ahead leaves times behind that lie further ahead than any can: they are taken as if they were now.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.closing import write_at_end
from tiktok_accounts_gql.db.models import RequestQuota
from tiktok_accounts_gql.db.tables import table_of


class Endpoint(StrEnum):
    """TikTok counts requests for each of them apart. The values are the rows' names."""

    USER_INFO = "user info"
    TOKEN = "token"  # noqa: S105 - a name
    REVOKE = "revoke"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitPolicy:
    """`longest_wait`: how far ahead a slot may lie. `probe_interval`: how often TikTok is asked while it is taken to be down,
    after so many `failures` in a row.
    """

    interval: timedelta
    burst: int
    longest_wait: timedelta
    failures: int
    probe_interval: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """When a request may be sent; `wait` until then. If it is not `granted`, nothing was taken: try again then.

    `next_wait`: until there may be another one within the same time.
    """

    granted: bool
    wait: timedelta
    next_wait: timedelta = timedelta(0)
    is_down: bool = False


async def take(
    session: AsyncSession, endpoint: Endpoint, pace: RateLimitPolicy, *, within: timedelta, probes: bool = False
) -> Slot:
    """A slot in a transaction of its own, if there is one within that time. `probes`: also while TikTok is down."""
    quota, now = await _locked(session, endpoint)
    closed_until = _believed(quota.closed_until, now, ahead=pace.probe_interval)
    if closed_until is not None and closed_until > now and not probes:
        return Slot(granted=False, wait=closed_until - now, is_down=True)
    planned = _believed(quota.next_at, now, ahead=pace.longest_wait + pace.interval) or now
    at = max(planned, now - pace.interval * pace.burst)
    if at - now > within:
        return Slot(granted=False, wait=at - now - within)
    new_closed_until = None if closed_until is None else max(closed_until, now + pace.probe_interval)
    values = {"endpoint": endpoint, "new_next_at": at + pace.interval, "new_closed_until": new_closed_until}
    write_at_end(session, _TAKE, [values])
    next_wait = at + pace.interval - now - within
    return Slot(granted=True, wait=max(at - now, timedelta(0)), next_wait=next_wait)


async def closed_for(session: AsyncSession, endpoint: Endpoint, pace: RateLimitPolicy) -> timedelta:
    """How long nobody asks TikTok from now on, for it is taken to be down."""
    quota = (await session.execute(_CIRCUIT, {"endpoint": endpoint})).one_or_none()
    if quota is None:
        return timedelta(0)
    closed_until = _believed(quota.closed_until, quota.now, ahead=pace.probe_interval)
    now: datetime = quota.now
    return max((closed_until or now) - now, timedelta(0))


async def has_failures(session: AsyncSession, endpoint: Endpoint) -> bool:
    """Whether TikTok was silent since its last answer."""
    quota = (await session.execute(_CIRCUIT, {"endpoint": endpoint})).one_or_none()
    return quota is not None and (quota.failures > 0 or quota.closed_until is not None)


async def note_answer(session: AsyncSession, endpoint: Endpoint) -> None:
    """TikTok is not down."""
    await session.execute(update(_quota).where(_quota.c.name == endpoint).values(failures=0, closed_until=None))


async def note_silence(session: AsyncSession, endpoint: Endpoint, pace: RateLimitPolicy, *, counts: bool) -> bool:
    """Whether TikTok is taken to be down from now on."""
    quota, now = await _locked(session, endpoint)
    failures = quota.failures + counts
    closed_until = now + pace.probe_interval if failures >= pace.failures else None
    values = {"failures": failures, "closed_until": closed_until}
    await session.execute(update(_quota).where(_quota.c.name == endpoint).values(**values))
    return closed_until is not None


def _believed(time: datetime | None, now: datetime, *, ahead: timedelta) -> datetime | None:
    """Now for a time that lies further ahead than it can: the clock was ahead when it was stored."""
    return now if time is not None and time > now + ahead + _TOLERANCE else time


async def _locked(session: AsyncSession, endpoint: Endpoint) -> tuple[Row[Any], datetime]:
    """The row, and what time it is."""
    quota = (await session.execute(_LOCKED, {"endpoint": endpoint})).one_or_none()
    if quota is None:
        insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(_quota)
        await session.execute(insert.values(name=endpoint, next_at=FromNow(), failures=0).on_conflict_do_nothing())
        quota = (await session.execute(_LOCKED, {"endpoint": endpoint})).one()
    return quota, quota.now


_TOLERANCE = timedelta(seconds=5)  # another process may have other settings while they are being changed
_quota = table_of(RequestQuota)
_ours = _quota.c.name == bindparam("endpoint")
_LOCKED = select(_quota, FromNow().label("now")).where(_ours).with_for_update(key_share=True)
_TAKE = update(_quota).where(_ours).values(next_at=bindparam("new_next_at"), closed_until=bindparam("new_closed_until"))
_CIRCUIT = select(_quota.c.failures, _quota.c.closed_until, FromNow().label("now")).where(_ours)
