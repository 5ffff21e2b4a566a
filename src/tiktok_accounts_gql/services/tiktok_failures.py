"""What TikTok's failures mean to a user."""

from math import ceil

from tiktok_accounts_gql.errors import (
    AppMisconfigured,
    ReauthorizationRequired,
    ScopeMissing,
    SyncFailed,
    TikTokRateLimited,
    TikTokUnavailable,
    UserMistake,
)
from tiktok_accounts_gql.tiktok import errors as tiktok

DEFAULT_RETRY_SECONDS = 60

_MEANING: dict[type[tiktok.TikTokError], type[UserMistake]] = {
    tiktok.RateLimited: TikTokRateLimited,
    tiktok.Unavailable: TikTokUnavailable,
    tiktok.NotAsked: TikTokUnavailable,
    tiktok.RefreshPending: TikTokUnavailable,
    tiktok.AccessTokenInvalid: ReauthorizationRequired,
    tiktok.InvalidGrant: ReauthorizationRequired,
    tiktok.ScopeNotGranted: ScopeMissing,
    tiktok.AppMisconfigured: AppMisconfigured,
}
_PASSING = (TikTokRateLimited, TikTokUnavailable)


def user_mistake(error: tiktok.TikTokError) -> UserMistake:
    """What to tell the user; SYNC_FAILED for everything that has no code of its own."""
    meaning = _MEANING.get(type(error), SyncFailed)
    if issubclass(meaning, _PASSING):
        seconds = ceil(error.retry_after or DEFAULT_RETRY_SECONDS)
        return meaning(retry_after_seconds=seconds, retry_is_told=error.retry_after is not None)
    return meaning()
