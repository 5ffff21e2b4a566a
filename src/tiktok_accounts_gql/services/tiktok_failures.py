"""What TikTok's failures mean to a user."""

from math import ceil

from tiktok_accounts_gql.errors import (
    AccountUnreadable,
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
OUR_QUOTA = "Too many requests to TikTok are waiting at this moment. Try again later."
RENEWED_ELSEWHERE = "The account's authorization is being renewed at this moment. Try again later."

_MEANING: dict[type[tiktok.TikTokError], type[UserMistake]] = {
    tiktok.RateLimited: TikTokRateLimited,
    tiktok.Unavailable: TikTokUnavailable,
    tiktok.NotAsked: TikTokUnavailable,
    tiktok.QuotaExhausted: TikTokRateLimited,
    tiktok.UnreadableReply: AccountUnreadable,
    tiktok.RefreshPending: TikTokUnavailable,
    tiktok.AccessTokenInvalid: ReauthorizationRequired,
    tiktok.InvalidGrant: ReauthorizationRequired,
    tiktok.ScopeNotGranted: ScopeMissing,
    tiktok.AppMisconfigured: AppMisconfigured,
}
_BETTER_SAID: dict[type[tiktok.TikTokError], str] = {
    tiktok.QuotaExhausted: OUR_QUOTA,
    tiktok.RefreshPending: RENEWED_ELSEWHERE,
}
_TOLD_WHEN = (TikTokRateLimited, TikTokUnavailable)


def user_mistake(error: tiktok.TikTokError) -> UserMistake:
    """What to tell the user; SYNC_FAILED for everything that has no code of its own."""
    if isinstance(error, tiktok.WrongAccount):
        return SyncFailed(f"{error.message} Nothing of it was stored.")
    meaning = _MEANING.get(type(error), SyncFailed)
    if issubclass(meaning, _TOLD_WHEN):
        seconds = ceil(error.retry_after or DEFAULT_RETRY_SECONDS)
        message = _BETTER_SAID.get(type(error))
        return meaning(message, retry_after_seconds=seconds, retry_is_told=error.retry_after is not None)
    return meaning()
