"""Parsing of replies to values or errors. Status and body both count: so does an error code inside a 200.

Tokens count most. An access token in a reply is a success, whatever status, error or invalid value comes with it: TikTok
has rotated, and the token before it is invalid. Everything else that cannot be parsed is None.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from tiktok_accounts_gql.tiktok import parsing
from tiktok_accounts_gql.tiktok.errors import (
    AccessTokenInvalid,
    InvalidClient,
    InvalidGrant,
    RateLimited,
    RequestRefused,
    ScopeNotGranted,
    TikTokError,
    Unavailable,
    UnreadableReply,
)
from tiktok_accounts_gql.tiktok.values import FIELDS_OF_SCOPES, MAX_COUNTER, TikTokUser, TokenGrant, list_fields

MAX_RETRY_AFTER = 86_400.0  # seconds: a day
MAX_LIFETIME = 10 * 365 * 86_400  # seconds: a longer one would exceed the range of dates
MIN_LIFETIME = 60  # seconds: with less a token would be refreshed at each use
DEFAULT_LIFETIME = 7200  # seconds, of an access token without `expires_in`: what TikTok documents today
_ERROR_CODE = re.compile(r"[A-Za-z]\w{0,99}")
_SUCCESS_CODES = ("ok", "success", "none", "null")

_ERRORS_BY_CODE: Mapping[str, type[TikTokError]] = {
    "access_token_invalid": AccessTokenInvalid,
    "scope_not_authorized": ScopeNotGranted,
    "scope_permission_missed": ScopeNotGranted,
    "internal_error": Unavailable,
    "server_error": Unavailable,
    "temporarily_unavailable": Unavailable,
    "invalid_grant": InvalidGrant,
    "invalid_client": InvalidClient,
    "unauthorized_client": InvalidClient,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A complete reply. The body is empty where it was compressed or too large."""

    status: int
    body: bytes
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        return httpx.codes.is_success(self.status)


def parse_token_grant(reply: Reply) -> TokenGrant:
    """Parse a reply of the token endpoint, flat or inside `data` as in TikTok's earlier API. Raises TikTokError."""
    body = parsing.parse_json(reply.body)
    for values in (body, parsing.get_object(body, "data")):
        if isinstance(values, dict) and (access_token := parsing.parse_token(values.get("access_token"))):
            return _to_token_grant(values, access_token)
    raise _to_error(reply, body)


def find_refresh_token(reply: Reply, open_id: str | None) -> str | None:
    """Return the refresh token of a reply without an access token; None if it is for another account than `open_id`."""
    body = parsing.parse_json(reply.body)
    for values in (body, parsing.get_object(body, "data")) if reply.is_success else ():
        if isinstance(values, dict) and (refresh_token := parsing.parse_token(values.get("refresh_token"))):
            token_open_id = parsing.parse_identifier(values.get("open_id"))
            return refresh_token if None in (token_open_id, open_id) or token_open_id == open_id else None
    return None


def check_revoked(reply: Reply) -> None:
    """Raise TikTokError for a reply of the revoke endpoint with an error: by its status, or by an error code in its body."""
    body = parsing.parse_json(reply.body)
    if not reply.is_success or _find_error_code(body):
        raise _to_error(reply, body)


def parse_user(reply: Reply, scopes: Collection[str] = tuple(FIELDS_OF_SCOPES)) -> TikTokUser:
    """Parse a reply of the user info endpoint: the fields of these scopes. Raises TikTokError."""
    body = parsing.parse_json(reply.body)
    if reply.status == httpx.codes.UNAUTHORIZED:
        # It is about the access token, whatever its code is, unless that is about scopes.
        is_scope_missing = _ERRORS_BY_CODE.get(_find_error_code(body) or "") is ScopeNotGranted
        raise (ScopeNotGranted if is_scope_missing else AccessTokenInvalid)(log_id=_find_log_id(body))
    values = parsing.get_object(parsing.get_object(body, "data"), "user")
    user = _to_user({name: values[name] for name in list_fields(scopes) if name in values}, scopes)
    is_empty = user == TikTokUser(scopes=user.scopes)
    if not reply.is_success or _find_error_code(body) or is_empty:
        raise _to_error(reply, body)
    return user


def _to_token_grant(values: Mapping[str, Any], access_token: str) -> TokenGrant:
    scopes = frozenset(parsing.parse_words(values.get("scope")) or ())
    return TokenGrant(
        open_id=parsing.parse_identifier(values.get("open_id")) or "",
        access_token=access_token,
        expires_in=_parse_lifetime(values.get("expires_in")) or DEFAULT_LIFETIME,
        refresh_token=parsing.parse_token(values.get("refresh_token")),
        refresh_expires_in=_parse_lifetime(values.get("refresh_expires_in")),
        scopes=scopes if scopes.intersection(FIELDS_OF_SCOPES) else None,
    )


def _to_user(values: Mapping[str, Any], scopes: Collection[str]) -> TikTokUser:
    return TikTokUser(
        scopes=frozenset(scopes).intersection(FIELDS_OF_SCOPES),
        open_id=parsing.parse_identifier(values.get("open_id")),
        union_id=parsing.parse_identifier(values.get("union_id")),
        display_name=parsing.parse_name(values.get("display_name")),
        username=parsing.parse_identifier(values.get("username")),
        avatar_url=parsing.parse_identifier(values.get("avatar_url"), parsing.MAX_LINK_LENGTH),
        bio_description=parsing.parse_text(values.get("bio_description")),
        profile_url=parsing.parse_link(values.get("profile_deep_link")),
        is_verified=parsing.parse_boolean(values.get("is_verified")),
        follower_count=_parse_counter(values.get("follower_count")),
        following_count=_parse_counter(values.get("following_count")),
        likes_count=_parse_counter(values.get("likes_count")),
        video_count=_parse_counter(values.get("video_count")),
    )


def _to_error(reply: Reply, body: Any) -> TikTokError:
    code, log_id = _find_error_code(body), _find_log_id(body)
    if code == "rate_limit_exceeded" or reply.status == httpx.codes.TOO_MANY_REQUESTS:
        return RateLimited(retry_after=_parse_retry_after(reply.retry_after), log_id=log_id)
    if reply.status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Unavailable(log_id=log_id)
    error = _ERRORS_BY_CODE.get(code or "", RequestRefused if code else UnreadableReply)(log_id=log_id)
    error.code = code
    return error


def _find_error_code(body: Any) -> str | None:
    """Return TikTok's error code; None where there is none, or one of success, or text that is no code."""
    error = body.get("error") if isinstance(body, dict) else None
    code = parsing.parse_identifier(error.get("code") if isinstance(error, dict) else error)
    return code.lower() if code and _ERROR_CODE.fullmatch(code) and code.lower() not in _SUCCESS_CODES else None


def _find_log_id(body: Any) -> str | None:
    """Return the id that TikTok's support asks for: beside an error that is text, or within one that is an object."""
    outer = body.get("log_id") if isinstance(body, dict) else None
    inner = parsing.get_object(body, "error").get("log_id")
    return parsing.parse_identifier(outer) or parsing.parse_identifier(inner)


def _parse_counter(value: Any) -> int | None:
    count = parsing.parse_integer(value)
    return count if count is not None and 0 <= count <= MAX_COUNTER else None


def _parse_lifetime(value: Any) -> int | None:
    """Return the seconds that remain, between MIN_LIFETIME and MAX_LIFETIME; None for what is not a positive number."""
    seconds = parsing.parse_integer(value)
    return min(max(seconds, MIN_LIFETIME), MAX_LIFETIME) if seconds and seconds > 0 else None


def _parse_retry_after(retry_after: str | None) -> float | None:
    """Parse the header (RFC 9110, section 10.2.3), which holds seconds or a date. Return seconds, or None."""
    if not retry_after:
        return None
    if retry_after.isdecimal():
        return min(float(retry_after), MAX_RETRY_AFTER)
    try:
        seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER)
