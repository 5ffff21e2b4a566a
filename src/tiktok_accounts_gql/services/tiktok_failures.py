"""Translates TikTok's errors into those of this API."""

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

_ERROR_OF: dict[type[tiktok.TikTokError], type[OperationError]] = {
    tiktok.RateLimited: TikTokRateLimited,
    tiktok.Unavailable: TikTokUnavailable,
    tiktok.CallDeferred: TikTokUnavailable,
    tiktok.CircuitOpen: TikTokUnavailable,
    tiktok.QuotaExhausted: TikTokRateLimited,
    tiktok.UnreadableReply: AccountUnreadable,
    tiktok.RefreshPending: TikTokUnavailable,
    tiktok.AccessTokenInvalid: ReauthorizationRequired,
    tiktok.InvalidGrant: ReauthorizationRequired,
    tiktok.ScopeNotGranted: ScopeMissing,
    tiktok.InvalidClient: AppMisconfigured,
}
_MESSAGE_OF: dict[type[tiktok.TikTokError], str] = {
    tiktok.QuotaExhausted: "Too many requests to TikTok are waiting at this moment. Try again later.",
    tiktok.RefreshPending: "The account's authorization is being renewed at this moment. Try again later.",
}
_WITH_RETRY_AFTER = (TikTokRateLimited, TikTokUnavailable)


def to_operation_error(error: tiktok.TikTokError) -> OperationError:
    """Return the error for `userErrors`; SYNC_FAILED for everything without a code of its own."""
    if isinstance(error, tiktok.WrongAccount):
        return SyncFailed(f"{error.message} Nothing of it was stored.")
    error_type = _ERROR_OF.get(type(error), SyncFailed)
    if issubclass(error_type, _WITH_RETRY_AFTER):
        seconds = ceil(error.retry_after or DEFAULT_RETRY_SECONDS)
        message = _MESSAGE_OF.get(type(error))
        return error_type(message, retry_after_seconds=seconds, retry_after_from_tiktok=error.retry_after is not None)
    return error_type()


def to_exchange_error(error: tiktok.TikTokError) -> OperationError:
    """Return the error for `userErrors` after an authorization code could not be exchanged."""
    match error:
        case tiktok.InvalidGrant():
            return AuthorizationCodeInvalid()
        case tiktok.RequestRefused() | tiktok.AccessTokenInvalid():
            # A refused code has an error of its own. Whatever else is wrong with the request is a mistake of this server.
            return AuthorizationDenied() if error.code == ACCESS_DENIED else AppMisconfigured()
        case tiktok.UnreadableReply():
            return TikTokUnavailable(retry_after_seconds=DEFAULT_RETRY_SECONDS)
    return to_operation_error(error)
