"""How well an account works: a small state machine.

| event | state | reason | action | retried by itself | status |
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

A sync that sent no request, because our own quota had no slot or the circuit breaker is open, is no event. Connecting and a
sync that worked are WORKED: they clear everything. What is BROKEN stays broken: a failed sync changes nothing any more, only
TikTok's own word (USER_REVOKED, ACCOUNT_CLOSED) does. WAIT and CONTACT_OPERATOR are retried after a backoff with jitter, or
when TikTok says; the others only after the user did something.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from tiktok_accounts_gql.backoff import backoff
from tiktok_accounts_gql.db.account_update import HealthColumns
from tiktok_accounts_gql.db.models import Account, AccountStatus, HealthAction, HealthReason, HealthState
from tiktok_accounts_gql.errors import AccountUnreadable, OperationError, TokensUnreadable, UserErrorCode

FIRST_RETRY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(hours=6)


class HealthEvent(Enum):
    """An event that changes an account's health."""

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
    """The state in which an event leaves an account."""

    state: HealthState
    reason: HealthReason | None
    action: HealthAction
    status: AccountStatus = AccountStatus.ACTIVE

    @property
    def is_retried(self) -> bool:
        return self.action in (HealthAction.WAIT, HealthAction.CONTACT_OPERATOR)


def _degraded(reason: HealthReason, action: HealthAction) -> Health:
    return Health(state=HealthState.DEGRADED, reason=reason, action=action)


def _broken(reason: HealthReason, status: AccountStatus) -> Health:
    return Health(state=HealthState.BROKEN, reason=reason, action=HealthAction.RECONNECT, status=status)


HEALTHY = Health(state=HealthState.HEALTHY, reason=None, action=HealthAction.NONE)
SCOPES_MISSING = _degraded(HealthReason.SCOPE_MISSING, HealthAction.GRANT_SCOPES)
HEALTH_AFTER: dict[HealthEvent, Health] = {
    HealthEvent.WORKED: HEALTHY,
    HealthEvent.RATE_LIMITED: _degraded(HealthReason.RATE_LIMITED, HealthAction.WAIT),
    HealthEvent.UNAVAILABLE: _degraded(HealthReason.TIKTOK_UNAVAILABLE, HealthAction.WAIT),
    HealthEvent.UNREADABLE: _degraded(HealthReason.TIKTOK_UNAVAILABLE, HealthAction.WAIT),
    HealthEvent.SCOPE_MISSING: SCOPES_MISSING,
    HealthEvent.MISCONFIGURED: _degraded(HealthReason.APP_MISCONFIGURED, HealthAction.CONTACT_OPERATOR),
    HealthEvent.REFUSED: _degraded(HealthReason.TIKTOK_UNAVAILABLE, HealthAction.CONTACT_OPERATOR),
    HealthEvent.TOKEN_EXPIRED: _broken(HealthReason.TOKEN_EXPIRED, AccountStatus.EXPIRED),
    HealthEvent.TOKENS_UNREADABLE: _broken(HealthReason.TOKENS_UNREADABLE, AccountStatus.EXPIRED),
    HealthEvent.USER_REVOKED: _broken(HealthReason.USER_REVOKED, AccountStatus.INACTIVE),
    HealthEvent.ACCOUNT_CLOSED: _broken(HealthReason.ACCOUNT_CLOSED, AccountStatus.INACTIVE),
}
EVENT_OF_ERROR: dict[UserErrorCode, HealthEvent] = {
    UserErrorCode.TIKTOK_RATE_LIMITED: HealthEvent.RATE_LIMITED,
    UserErrorCode.TIKTOK_UNAVAILABLE: HealthEvent.UNAVAILABLE,
    UserErrorCode.SCOPE_MISSING: HealthEvent.SCOPE_MISSING,
    UserErrorCode.APP_MISCONFIGURED: HealthEvent.MISCONFIGURED,
    UserErrorCode.SYNC_FAILED: HealthEvent.REFUSED,
    UserErrorCode.REAUTHORIZATION_REQUIRED: HealthEvent.TOKEN_EXPIRED,
}


def columns_after_success(before: Account | None, now: datetime, *, scopes_missing: bool) -> HealthColumns:
    """Return the columns of an account that was connected or read."""
    return _columns(before, SCOPES_MISSING if scopes_missing else HEALTHY, now, failures=0)


def columns_after_scope_change(before: Account, now: datetime, *, scopes_missing: bool) -> HealthColumns:
    """Return the columns of an account whose scopes changed; none if something else is wrong with it."""
    if before.health_state is not HealthState.HEALTHY and before.health_reason is not HealthReason.SCOPE_MISSING:
        return {}
    return _columns(before, SCOPES_MISSING if scopes_missing else HEALTHY, now, failures=before.consecutive_failures)


def columns_after_unread_profile(now: datetime) -> HealthColumns:
    """Return the columns of an account that was connected, but whose profile could not be read."""
    return _columns(None, HEALTH_AFTER[HealthEvent.REFUSED], now, failures=1)


def columns_after_failed_sync(before: Account, error: OperationError, now: datetime) -> HealthColumns:
    """Return the columns of an account that could not be read."""
    retry_after = timedelta(seconds=error.retry_after_seconds or 0)
    by_type = {AccountUnreadable: HealthEvent.UNREADABLE, TokensUnreadable: HealthEvent.TOKENS_UNREADABLE}
    event = by_type.get(type(error)) or EVENT_OF_ERROR.get(error.code, HealthEvent.REFUSED)
    return columns_after_event(before, event, now, retry_after=retry_after)


def columns_after_event(
    before: Account,
    event: HealthEvent,
    now: datetime,
    *,
    retry_after: timedelta = timedelta(0),
    is_sync: bool = True,
) -> HealthColumns:
    """Return the columns of an account after a failure. `is_sync`: whether it counts as a failed sync."""
    failures = before.consecutive_failures + is_sync
    if before.health_state is HealthState.BROKEN:
        return {"consecutive_failures": failures}
    return _columns(before, HEALTH_AFTER[event], now, failures=failures, retry_after=retry_after)


def columns_after_removal(before: Account, event: HealthEvent, now: datetime) -> HealthColumns:
    """Return the columns of an account whose authorization TikTok ended, whatever else was wrong with it."""
    return _columns(before, HEALTH_AFTER[event], now, failures=before.consecutive_failures)


def retry_in(failures: int) -> timedelta:
    """Return the pause after so many failures in a row."""
    return backoff(failures, first=FIRST_RETRY, longest=LONGEST_RETRY)


def _columns(
    before: Account | None, health: Health, now: datetime, *, failures: int, retry_after: timedelta = timedelta(0)
) -> HealthColumns:
    is_same = before is not None and before.health_state is health.state and before.disconnected_at is None
    return {
        "status": health.status,
        "health_state": health.state,
        "health_reason": health.reason,
        "health_action": health.action,
        "health_since": before.health_since if before is not None and is_same else now,
        "next_retry_at": now + max(retry_after, retry_in(failures)) if health.is_retried else None,
        "consecutive_failures": failures,
    }
