"""Rows of accounts by number: the same ones on every database and in every run."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import md5
from typing import Any
from uuid import UUID

from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.models import AccountStatus, HealthAction, HealthReason, HealthState

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SCOPES = ["user.info.basic", "user.info.profile", "user.info.stats"]
_STATUSES = (*[AccountStatus.ACTIVE] * 3, AccountStatus.INACTIVE, AccountStatus.EXPIRED)
_PER_VIEWER = 10**7
_UUID7 = (7 << 76) | (2 << 62)
_BROKEN = {
    "health_state": HealthState.BROKEN,
    "health_reason": HealthReason.TOKEN_EXPIRED,
    "health_action": HealthAction.RECONNECT,
}
_HEALTHY = {"health_state": HealthState.HEALTHY, "health_reason": None, "health_action": HealthAction.NONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The viewers of a database, with the number of accounts of each."""

    name: str
    sizes: tuple[int, ...]

    @classmethod
    def even(cls, viewers: int, accounts_each: int) -> "Population":
        return cls(name=f"{viewers}x{accounts_each}", sizes=(accounts_each,) * viewers)

    @property
    def total(self) -> int:
        return sum(self.sizes)


def viewer_id(number: int) -> str:
    return f"viewer-{number:05}"


def account_id(viewer: int, number: int) -> UUID:
    """Return a UUID of version 7: the time of connecting, then a unique number."""
    return UUID(int=(_milliseconds(number) << 80) | _UUID7 | (viewer * _PER_VIEWER + number))


def account_rows(viewer: int, size: int) -> Iterator[dict[str, Any]]:
    """Yield values by the model's names; newest first, one account a minute."""
    for number in range(size):
        yield _row(viewer, number)


def _row(viewer: int, number: int) -> dict[str, Any]:
    word = md5(b"%d %d" % (viewer, number), usedforsecurity=False).hexdigest()
    status = _STATUSES[number % len(_STATUSES)]
    connected_at, synced_at, expires_at = _times(number % 100_000)
    return {
        "id": account_id(viewer, number),
        "viewer_id": viewer_id(viewer),
        "open_id": f"open-{viewer}-{number}",
        **accounts.name_columns(f"user_{word[:10]}", f"Display {word[10:18]}"),
        "avatar_hash": word * 2,
        "is_verified": number % 7 == 0,
        "status": status,
        **(_BROKEN if status is AccountStatus.EXPIRED else _HEALTHY),
        "health_since": connected_at,
        "consecutive_failures": 0,
        "follower_count": number * 7919 % 1_000_000,
        "following_count": number % 5000,
        "likes_count": number * 104_729 % 10_000_000,
        "video_count": number % 900,
        "granted_scopes": SCOPES,
        "last_synced_at": synced_at,
        "token_expires_at": expires_at,
        "reauthorize_by": expires_at,
        "created_at": connected_at,
        "connected_at": connected_at,
        "updated_at": synced_at,
    }


@cache
def _times(number: int) -> tuple[datetime, datetime, datetime]:
    connected_at = NOON - timedelta(minutes=number)
    return connected_at, NOON - timedelta(seconds=number % 86_400), NOON + timedelta(days=180, minutes=-number)


def _milliseconds(number: int) -> int:
    return int(NOON.timestamp() * 1000) - number * 60_000
