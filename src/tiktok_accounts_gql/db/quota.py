"""The quotas of requests to TikTok, shared by all processes, by the database's clock: one row for each endpoint.

A generic cell rate algorithm (GCRA): `next_at` is when the next request may be sent if all are evenly spaced. After a pause
up to `burst` requests may follow each other at once. So any period sees `period / interval + burst` requests at most.

The same row holds the endpoint's circuit breaker: after some accounts in a row for which TikTok gave no answer, no request
is sent until `closed_until`, but for a probe at every interval.

A clock that was ahead leaves times that lie further ahead than any can. They count as now.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.models import RequestQuota
from tiktok_accounts_gql.db.tables import table_of
from tiktok_accounts_gql.db.unit_of_work import defer_rows


class Endpoint(StrEnum):
    """The endpoints for which TikTok counts requests separately. The values are the rows' names."""

    USER_INFO = "user info"
    TOKEN = "token"  # noqa: S105 - a name
    REVOKE = "revoke"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitPolicy:
    """How often requests may be sent, and when the circuit breaker opens.

    `max_queue_delay`: how far ahead a slot may lie. `failures`: how many in a row open the circuit breaker.
    `probe_interval`: how often a request is sent while it is open.
    """

    interval: timedelta
    burst: int
    max_queue_delay: timedelta
    failures: int
    probe_interval: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaSlot:
    """The time of one request, in `wait` from now. If it is not `granted`, nothing was taken: try again after `wait`.

    `next_wait`: until there may be another slot within the same maximum. `is_down`: the circuit breaker is open.
    """

    granted: bool
    wait: timedelta
    next_wait: timedelta = timedelta(0)
    is_down: bool = False


async def take_slot(
    session: AsyncSession, endpoint: Endpoint, policy: RateLimitPolicy, *, max_wait: timedelta, is_probe: bool = False
) -> QuotaSlot:
    """Take a slot if there is one within `max_wait`; a probe also while the circuit breaker is open.

    The session's transaction must do nothing else: the row is locked until it ends.
    """
    quota, now = await _lock_row(session, endpoint)
    closed_until = _clamp(quota.closed_until, now, max_ahead=policy.probe_interval)
    if closed_until is not None and closed_until > now and not is_probe:
        return QuotaSlot(granted=False, wait=closed_until - now, is_down=True)
    next_at = _clamp(quota.next_at, now, max_ahead=policy.max_queue_delay + policy.interval) or now
    slot_at = max(next_at, now - policy.interval * policy.burst)
    if slot_at - now > max_wait:
        return QuotaSlot(granted=False, wait=slot_at - now - max_wait)
    new_closed_until = None if closed_until is None else max(closed_until, now + policy.probe_interval)
    values = {"endpoint": endpoint, "new_next_at": slot_at + policy.interval, "new_closed_until": new_closed_until}
    defer_rows(session, _UPDATE_TIMES, [values])
    next_wait = slot_at + policy.interval - now - max_wait
    return QuotaSlot(granted=True, wait=max(slot_at - now, timedelta(0)), next_wait=next_wait)


async def circuit_open_for(session: AsyncSession, endpoint: Endpoint, policy: RateLimitPolicy) -> timedelta:
    """Return how long the circuit breaker stays open; zero if it is closed."""
    quota = (await session.execute(_SELECT_CIRCUIT, {"endpoint": endpoint})).one_or_none()
    if quota is None:
        return timedelta(0)
    closed_until = _clamp(quota.closed_until, quota.now, max_ahead=policy.probe_interval)
    now: datetime = quota.now
    return max((closed_until or now) - now, timedelta(0))


async def has_failures(session: AsyncSession, endpoint: Endpoint) -> bool:
    """Return whether a request has failed since TikTok's last answer."""
    quota = (await session.execute(_SELECT_CIRCUIT, {"endpoint": endpoint})).one_or_none()
    return quota is not None and (quota.failures > 0 or quota.closed_until is not None)


async def record_success(session: AsyncSession, endpoint: Endpoint) -> None:
    """Close the circuit breaker: TikTok has answered."""
    await session.execute(update(_quota).where(_quota.c.name == endpoint).values(failures=0, closed_until=None))


async def record_failure(session: AsyncSession, endpoint: Endpoint, policy: RateLimitPolicy, *, counts: bool) -> bool:
    """Record that TikTok did not answer, and return whether the circuit breaker is open now.

    `counts` is False for an account whose last sync failed too: its failure says nothing new about TikTok.
    """
    quota, now = await _lock_row(session, endpoint)
    failures = quota.failures + counts
    closed_until = now + policy.probe_interval if failures >= policy.failures else None
    values = {"failures": failures, "closed_until": closed_until}
    await session.execute(update(_quota).where(_quota.c.name == endpoint).values(**values))
    return closed_until is not None


def _clamp(time: datetime | None, now: datetime, *, max_ahead: timedelta) -> datetime | None:
    """Return now for a time that lies further ahead than it can, which was stored while the clock was ahead."""
    return now if time is not None and time > now + max_ahead + _TOLERANCE else time


async def _lock_row(session: AsyncSession, endpoint: Endpoint) -> tuple[Row[Any], datetime]:
    """Return the endpoint's row, locked, and the database's time. The row is inserted if there is none."""
    quota = (await session.execute(_SELECT_LOCKED, {"endpoint": endpoint})).one_or_none()
    if quota is None:
        insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(_quota)
        await session.execute(insert.values(name=endpoint, next_at=FromNow(), failures=0).on_conflict_do_nothing())
        quota = (await session.execute(_SELECT_LOCKED, {"endpoint": endpoint})).one()
    return quota, quota.now


_TOLERANCE = timedelta(seconds=5)  # another process may have other settings while they are being changed
_quota = table_of(RequestQuota)
_is_endpoint = _quota.c.name == bindparam("endpoint")
_SELECT_LOCKED = select(_quota, FromNow().label("now")).where(_is_endpoint).with_for_update(key_share=True)
_SELECT_CIRCUIT = select(_quota.c.failures, _quota.c.closed_until, FromNow().label("now")).where(_is_endpoint)
_UPDATE_TIMES = (
    update(_quota)
    .where(_is_endpoint)
    .values(next_at=bindparam("new_next_at"), closed_until=bindparam("new_closed_until"))
)
