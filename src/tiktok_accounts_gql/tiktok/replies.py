"""From the bytes of a reply to values or errors. Status and body are both believed: an error code inside a 200 counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import orjson

from tiktok_accounts_gql.tiktok.errors import (
    AccessTokenInvalid,
    AppMisconfigured,
    InvalidGrant,
    RateLimited,
    RequestRefused,
    ScopeNotGranted,
    TikTokError,
    Unavailable,
    UnreadableReply,
)
from tiktok_accounts_gql.tiktok.values import TikTokUser, TokenGrant

T = TypeVar("T", str, int, bool)

TOO_MANY, SERVER_ERROR, CLIENT_ERROR = 429, 500, 400
LARGEST_COUNTER = 2**63 - 1
LONGEST_CODE = 100
LONGEST_WAIT = 86_400.0  # seconds: nobody is told to come back later than in a day
LONGEST_LIFETIME = 10 * 365 * 86_400  # seconds: whatever is longer would lead out of the calendar

_MEANING: Mapping[str, type[TikTokError]] = {
    "access_token_invalid": AccessTokenInvalid,
    "scope_not_authorized": ScopeNotGranted,
    "scope_permission_missed": ScopeNotGranted,
    "internal_error": Unavailable,
    "server_error": Unavailable,
    "temporarily_unavailable": Unavailable,
    "invalid_grant": InvalidGrant,
    "invalid_client": AppMisconfigured,
    "unauthorized_client": AppMisconfigured,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply that came whole."""

    status: int
    body: bytes
    retry_after: str | None = None


def token_grant(reply: Reply) -> TokenGrant:
    """Of the token endpoint. Raises TikTokError."""
    body = _object(reply)
    if "error" in body or reply.status >= CLIENT_ERROR or not body.get("access_token"):
        raise _failure(reply, _text(body, "error"), _text(body, "log_id"))
    scope = _text(body, "scope")
    return TokenGrant(
        open_id=_required(body, "open_id"),
        access_token=_required(body, "access_token"),
        expires_in=_lifetime(body, "expires_in") or 0,
        refresh_token=_text(body, "refresh_token"),
        refresh_expires_in=_lifetime(body, "refresh_expires_in"),
        scopes=None if scope is None else frozenset(filter(None, scope.split(","))),
    )


def revoked(reply: Reply) -> None:
    """Of the revoke endpoint, whose success is empty. Raises TikTokError."""
    if reply.status < CLIENT_ERROR and not reply.body.strip():
        return
    body = _object(reply)
    if "error" in body or reply.status >= CLIENT_ERROR:
        raise _failure(reply, _text(body, "error"), _text(body, "log_id"))


def user(reply: Reply) -> TikTokUser:
    """Of the user info endpoint. Raises TikTokError."""
    body = _object(reply)
    error = _typed(body, "error", dict) or {}
    code = _text(error, "code")
    if reply.status >= CLIENT_ERROR or code not in ("ok", None):
        raise _failure(reply, code, _text(error, "log_id"))
    found = _typed(_typed(body, "data", dict) or {}, "user", dict) or {}
    return TikTokUser(
        open_id=_required(found, "open_id"),
        union_id=_text(found, "union_id"),
        display_name=_text(found, "display_name"),
        username=_text(found, "username"),
        avatar_url=_text(found, "avatar_url"),
        bio_description=_typed(found, "bio_description", str),
        profile_url=_text(found, "profile_deep_link"),
        is_verified=_typed(found, "is_verified", bool),
        follower_count=_counter(found, "follower_count"),
        following_count=_counter(found, "following_count"),
        likes_count=_counter(found, "likes_count"),
        video_count=_counter(found, "video_count"),
    )


def _failure(reply: Reply, code: str | None, log_id: str | None) -> TikTokError:
    if code == "rate_limit_exceeded" or reply.status == TOO_MANY:
        return RateLimited(retry_after=_seconds(reply.retry_after), log_id=log_id)
    if reply.status >= SERVER_ERROR:
        return Unavailable(log_id=log_id)
    failure = _MEANING.get(code or "", RequestRefused if code else UnreadableReply)(log_id=log_id)
    failure.code = code and code[:LONGEST_CODE]
    return failure


def _object(reply: Reply) -> dict[str, Any]:
    """Not JSON is not documented: whatever stands there, it is no answer."""
    if not reply.body.strip() and reply.status >= CLIENT_ERROR:
        raise _failure(reply, None, None)
    try:
        body = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict):
        return body
    raise _failure(reply, None, None)


def _typed(body: Mapping[str, Any], name: str, kind: type[Any]) -> Any:
    value = body.get(name)
    if value is not None and type(value) is not kind:
        raise UnreadableReply
    return value.replace("\0", "") if isinstance(value, str) else value  # PostgreSQL stores no NUL


def _text(body: Mapping[str, Any], name: str) -> str | None:
    """An empty text is as good as none."""
    value: str | None = _typed(body, name, str)
    return value or None


def _required(body: Mapping[str, Any], name: str) -> str:
    value = _text(body, name)
    if value is None:
        raise UnreadableReply
    return value


def _counter(body: Mapping[str, Any], name: str) -> int | None:
    value: int | None = _typed(body, name, int)
    if value is not None and not 0 <= value <= LARGEST_COUNTER:
        raise UnreadableReply
    return value


def _lifetime(body: Mapping[str, Any], name: str) -> int | None:
    """The seconds that remain; an impossible one is no reason to lose the tokens that came with it."""
    value: int | None = _typed(body, name, int)
    return min(max(value, 0), LONGEST_LIFETIME) if value else None


def _seconds(retry_after: str | None) -> float | None:
    """RFC 9110, section 10.2.3: seconds or a date."""
    if not retry_after:
        return None
    if retry_after.isdecimal():
        return min(float(retry_after), LONGEST_WAIT)
    try:
        seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), LONGEST_WAIT)
