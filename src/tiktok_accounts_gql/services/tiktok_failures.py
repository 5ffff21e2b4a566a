"""What TikTok's failures mean to a user."""

from math import ceil

from tiktok_accounts_gql.errors import (
    AccountUnreadable,
    AppMisconfigured,
    AuthorizationCodeInvalid,
    AuthorizationDenied,
    OperationError,
    ReauthorizationRequired,
    ScopeMissing,
    SyncFailed,
    TikTokRateLimited,
    TikTokUnavailable,
)
from tiktok_accounts_gql.tiktok import errors as tiktok

ACCESS_DENIED = "access_denied"  # RFC 6749, section 4.1.2.1
DEFAULT_RETRY_SECONDS = 60
OUR_QUOTA = "Too many requests to TikTok are waiting at this moment. Try again later."
RENEWED_ELSEWHERE = "The account's authorization is being renewed at this moment. Try again later."

_MEANING: dict[type[tiktok.TikTokError], type[OperationError]] = {
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


def user_mistake(error: tiktok.TikTokError) -> OperationError:
    """What to tell the user; SYNC_FAILED for everything that has no code of its own."""
    if isinstance(error, tiktok.WrongAccount):
        return SyncFailed(f"{error.message} Nothing of it was stored.")
    meaning = _MEANING.get(type(error), SyncFailed)
    if issubclass(meaning, _TOLD_WHEN):
        seconds = ceil(error.retry_after or DEFAULT_RETRY_SECONDS)
        message = _BETTER_SAID.get(type(error))
        return meaning(message, retry_after_seconds=seconds, retry_after_from_tiktok=error.retry_after is not None)
    return meaning()


def code_mistake(error: tiktok.TikTokError) -> OperationError:
    """What to tell the user whose authorization code was not exchanged."""
    match error:
        case tiktok.InvalidGrant():
            return AuthorizationCodeInvalid()
        case tiktok.RequestRefused() | tiktok.AccessTokenInvalid():
            # The code has a refusal of its own: all else about the request is this server's.
            return AuthorizationDenied() if error.code == ACCESS_DENIED else AppMisconfigured()
        case tiktok.UnreadableReply():
            return TikTokUnavailable(retry_after_seconds=DEFAULT_RETRY_SECONDS)
    return user_mistake(error)
