"""How well an account works: a small state machine.

| what happened | state | reason | action | next try by itself | status |
|---|---|---|---|---|---|
| WORKED | HEALTHY | | NONE | | ACTIVE |
| WORKED, scopes missing | DEGRADED | SCOPE_MISSING | GRANT_SCOPES | | ACTIVE |
| RATE_LIMITED | DEGRADED | RATE_LIMITED | WAIT | yes | ACTIVE |
| UNAVAILABLE | DEGRADED | TIKTOK_UNAVAILABLE | WAIT | yes | ACTIVE |
| SCOPE_MISSING | DEGRADED | SCOPE_MISSING | GRANT_SCOPES | | ACTIVE |
| MISCONFIGURED | DEGRADED | APP_MISCONFIGURED | CONTACT_OPERATOR | yes | ACTIVE |
| UNREADABLE | DEGRADED | TIKTOK_UNAVAILABLE | WAIT | yes | ACTIVE |
| REFUSED | DEGRADED | TIKTOK_UNAVAILABLE | CONTACT_OPERATOR | yes | ACTIVE |
| TOKEN_EXPIRED | BROKEN | TOKEN_EXPIRED | RECONNECT | | EXPIRED |
| TOKENS_UNREADABLE | BROKEN | TOKENS_UNREADABLE | RECONNECT | | EXPIRED |
| USER_REVOKED | BROKEN | USER_REVOKED | RECONNECT | | INACTIVE |
| ACCOUNT_CLOSED | BROKEN | ACCOUNT_CLOSED | RECONNECT | | INACTIVE |

A sync for which TikTok was not asked, for want of a slot of our own quota or while TikTok is taken to be down, says nothing.
Connecting and a sync that worked are WORKED: they clear everything. What broke stays broken: no failed sync after it says
more, only TikTok's own word (USER_REVOKED, ACCOUNT_CLOSED) does. WAIT and CONTACT_OPERATOR are retried after a backoff
with jitter, or when TikTok says; the others only after the user did something.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from tiktok_accounts_gql.db.models import Account, AccountStatus, HealthAction, HealthReason, HealthState
from tiktok_accounts_gql.errors import AccountUnreadable, OperationError, TokensUnreadable, UserErrorCode

FIRST_RETRY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(hours=6)


class Outcome(Enum):
    """What happened to an account, as far as its health is concerned."""

    WORKED = auto()
    RATE_LIMITED = auto()
    UNAVAILABLE = auto()
    UNREADABLE = auto()
    SCOPE_MISSING = auto()
    MISCONFIGURED = auto()
    REFUSED = auto()
    TOKEN_EXPIRED = auto()
    TOKENS_UNREADABLE = auto()
    USER_REVOKED = auto()
    ACCOUNT_CLOSED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """In what state an outcome leaves an account."""

    state: HealthState
    reason: HealthReason | None
    action: HealthAction
    status: AccountStatus = AccountStatus.ACTIVE

    @property
    def retried(self) -> bool:
        return self.action in (HealthAction.WAIT, HealthAction.CONTACT_OPERATOR)


def _degraded(reason: HealthReason, action: HealthAction) -> Health:
    return Health(state=HealthState.DEGRADED, reason=reason, action=action)


def _broken(reason: HealthReason, status: AccountStatus) -> Health:
    return Health(state=HealthState.BROKEN, reason=reason, action=HealthAction.RECONNECT, status=status)


HEALTHY = Health(state=HealthState.HEALTHY, reason=None, action=HealthAction.NONE)
SCOPES_MISSING = _degraded(HealthReason.SCOPE_MISSING, HealthAction.GRANT_SCOPES)
AFTER: dict[Outcome, Health] = {
    Outcome.WORKED: HEALTHY,
    Outcome.RATE_LIMITED: _degraded(HealthReason.RATE_LIMITED, HealthAction.WAIT),
    Outcome.UNAVAILABLE: _degraded(HealthReason.TIKTOK_UNAVAILABLE, HealthAction.WAIT),
    Outcome.UNREADABLE: _degraded(HealthReason.TIKTOK_UNAVAILABLE, HealthAction.WAIT),
    Outcome.SCOPE_MISSING: SCOPES_MISSING,
    Outcome.MISCONFIGURED: _degraded(HealthReason.APP_MISCONFIGURED, HealthAction.CONTACT_OPERATOR),
    Outcome.REFUSED: _degraded(HealthReason.TIKTOK_UNAVAILABLE, HealthAction.CONTACT_OPERATOR),
    Outcome.TOKEN_EXPIRED: _broken(HealthReason.TOKEN_EXPIRED, AccountStatus.EXPIRED),
    Outcome.TOKENS_UNREADABLE: _broken(HealthReason.TOKENS_UNREADABLE, AccountStatus.EXPIRED),
    Outcome.USER_REVOKED: _broken(HealthReason.USER_REVOKED, AccountStatus.INACTIVE),
    Outcome.ACCOUNT_CLOSED: _broken(HealthReason.ACCOUNT_CLOSED, AccountStatus.INACTIVE),
}
OUTCOME_OF: dict[UserErrorCode, Outcome] = {
    UserErrorCode.TIKTOK_RATE_LIMITED: Outcome.RATE_LIMITED,
    UserErrorCode.TIKTOK_UNAVAILABLE: Outcome.UNAVAILABLE,
    UserErrorCode.SCOPE_MISSING: Outcome.SCOPE_MISSING,
    UserErrorCode.APP_MISCONFIGURED: Outcome.MISCONFIGURED,
    UserErrorCode.SYNC_FAILED: Outcome.REFUSED,
    UserErrorCode.REAUTHORIZATION_REQUIRED: Outcome.TOKEN_EXPIRED,
}


def worked(before: Account | None, now: datetime, *, scopes_missing: bool) -> dict[str, Any]:
    """The columns of an account that was connected or read."""
    return _columns(before, SCOPES_MISSING if scopes_missing else HEALTHY, now, failures=0)


def rescoped(before: Account, now: datetime, *, scopes_missing: bool) -> dict[str, Any]:
    """The columns of an account whose scopes changed: of one that has another trouble, none."""
    if before.health_state is not HealthState.HEALTHY and before.health_reason is not HealthReason.SCOPE_MISSING:
        return {}
    return _columns(before, SCOPES_MISSING if scopes_missing else HEALTHY, now, failures=before.consecutive_failures)


def unread(now: datetime) -> dict[str, Any]:
    """The columns of an account that was connected, but read by a reply that is of no use."""
    return _columns(None, AFTER[Outcome.REFUSED], now, failures=1)


def failed(before: Account, error: OperationError, now: datetime) -> dict[str, Any]:
    """The columns of an account that could not be read."""
    retry_after = timedelta(seconds=error.retry_after_seconds or 0)
    by_kind = {AccountUnreadable: Outcome.UNREADABLE, TokensUnreadable: Outcome.TOKENS_UNREADABLE}
    outcome = by_kind.get(type(error)) or OUTCOME_OF.get(error.code, Outcome.REFUSED)
    return happened(before, outcome, now, retry_after=retry_after)


def happened(
    before: Account,
    outcome: Outcome,
    now: datetime,
    *,
    retry_after: timedelta = timedelta(0),
    counted: bool = True,
) -> dict[str, Any]:
    """The columns of an account after a failure; `counted` if it was a sync that failed."""
    failures = before.consecutive_failures + counted
    if before.health_state is HealthState.BROKEN:
        return {"consecutive_failures": failures}
    return _columns(before, AFTER[outcome], now, failures=failures, retry_after=retry_after)


def ended(before: Account, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """The columns of an account whose authorization TikTok ended, whatever else was wrong with it."""
    return _columns(before, AFTER[outcome], now, failures=before.consecutive_failures)


def retry_in(failures: int) -> timedelta:
    """Doubles with each failure, with equal jitter: half of it is certain, so that nobody hammers."""
    doublings = min(max(failures - 1, 0), 20)
    longest = min(FIRST_RETRY * (1 << doublings), LONGEST_RETRY)
    return longest * random.uniform(0.5, 1)  # noqa: S311 - no secret


def _columns(
    before: Account | None, health: Health, now: datetime, *, failures: int, retry_after: timedelta = timedelta(0)
) -> dict[str, Any]:
    same = before is not None and before.health_state is health.state and before.disconnected_at is None
    return {
        "status": health.status,
        "health_state": health.state,
        "health_reason": health.reason,
        "health_action": health.action,
        "health_since": before.health_since if before is not None and same else now,
        "next_retry_at": now + max(retry_after, retry_in(failures)) if health.retried else None,
        "consecutive_failures": failures,
    }
