"""From the bytes of a reply to values or errors. Status and body are both believed: an error code inside a 200 counts.

Tokens count most. An access token in a reply is a success, whatever status, error or odd value stands beside it: TikTok
has rotated, and the token before it is worthless. Of everything else, what cannot be read is None.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tiktok_accounts_gql.tiktok import lenient
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
from tiktok_accounts_gql.tiktok.values import FIELDS_OF_SCOPES, LARGEST_COUNTER, TikTokUser, TokenGrant, fields_of

UNAUTHORIZED, TOO_MANY, SERVER_ERROR = 401, 429, 500
LONGEST_WAIT = 86_400.0  # seconds: nobody is told to come back later than in a day
LONGEST_LIFETIME = 10 * 365 * 86_400  # seconds: whatever is longer would lead out of the calendar
SHORTEST_LIFETIME = 60  # seconds: or a token would be renewed at each use
USUAL_LIFETIME = 7200  # seconds, of an access token whose reply does not say: what TikTok documents today
_CODE = re.compile(r"[A-Za-z]\w{0,99}")
_SUCCESSES = ("ok", "success", "none", "null")

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
    """A reply that came whole, or whose body was not worth reading: then it is empty."""

    status: int
    body: bytes
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004


def token_grant(reply: Reply) -> TokenGrant:
    """Reads a reply of the token endpoint, flat or inside `data` as in TikTok's earlier API. Raises TikTokError."""
    body = lenient.read_json(reply.body)
    for values in (body, lenient.read_object(body, "data")):
        if isinstance(values, dict) and (access_token := lenient.read_token(values.get("access_token"))):
            return _grant(values, access_token)
    raise _failure(reply, body)


def lone_refresh_token(reply: Reply, open_id: str | None) -> str | None:
    """Reads the refresh token of a reply without an access token; None if it is of another account than `open_id`."""
    body = lenient.read_json(reply.body)
    for values in (body, lenient.read_object(body, "data")) if reply.is_success else ():
        if isinstance(values, dict) and (refresh_token := lenient.read_token(values.get("refresh_token"))):
            whose = lenient.read_identifier(values.get("open_id"))
            return refresh_token if None in (whose, open_id) or whose == open_id else None
    return None


def revoked(reply: Reply) -> None:
    """Reads a reply of the revoke endpoint: with a status of success, only an error code is a failure.

    Raises TikTokError.
    """
    body = lenient.read_json(reply.body)
    if not reply.is_success or _code(body):
        raise _failure(reply, body)


def user(reply: Reply, scopes: Collection[str] = tuple(FIELDS_OF_SCOPES)) -> TikTokUser:
    """Reads a reply of the user info endpoint, as far as these scopes allow. Raises TikTokError."""
    body = lenient.read_json(reply.body)
    if reply.status == UNAUTHORIZED:
        raise _unauthorized(body)
    values = lenient.read_object(lenient.read_object(body, "data"), "user")
    known = {name: values[name] for name in fields_of(scopes) if name in values}
    read = _user(known, scopes)
    if not reply.is_success or _code(body) or read == TikTokUser(scopes=read.scopes):
        raise _failure(reply, body)
    return read


def _grant(values: Mapping[str, Any], access_token: str) -> TokenGrant:
    scopes = frozenset(lenient.read_list(values.get("scope")) or ())
    return TokenGrant(
        open_id=lenient.read_identifier(values.get("open_id")) or "",
        access_token=access_token,
        expires_in=_lifetime(values.get("expires_in")) or USUAL_LIFETIME,
        refresh_token=lenient.read_token(values.get("refresh_token")),
        refresh_expires_in=_lifetime(values.get("refresh_expires_in")),
        scopes=scopes if scopes.intersection(FIELDS_OF_SCOPES) else None,
    )


def _user(values: Mapping[str, Any], scopes: Collection[str]) -> TikTokUser:
    return TikTokUser(
        scopes=frozenset(scopes).intersection(FIELDS_OF_SCOPES),
        open_id=lenient.read_identifier(values.get("open_id")),
        union_id=lenient.read_identifier(values.get("union_id")),
        display_name=lenient.read_name(values.get("display_name")),
        username=lenient.read_identifier(values.get("username")),
        avatar_url=lenient.read_identifier(values.get("avatar_url"), lenient.LONGEST_LINK),
        bio_description=lenient.read_text(values.get("bio_description")),
        profile_url=lenient.read_link(values.get("profile_deep_link")),
        is_verified=lenient.read_boolean(values.get("is_verified")),
        follower_count=_counter(values.get("follower_count")),
        following_count=_counter(values.get("following_count")),
        likes_count=_counter(values.get("likes_count")),
        video_count=_counter(values.get("video_count")),
    )


def _unauthorized(body: Any) -> TikTokError:
    """A 401 refuses the access token, whatever else it says, unless it is the scope that is refused."""
    refused = _MEANING.get(_code(body) or "") is ScopeNotGranted
    return (ScopeNotGranted if refused else AccessTokenInvalid)(log_id=_log_id(body))


def _failure(reply: Reply, body: Any) -> TikTokError:
    code, log_id = _code(body), _log_id(body)
    if code == "rate_limit_exceeded" or reply.status == TOO_MANY:
        return RateLimited(retry_after=_seconds(reply.retry_after), log_id=log_id)
    if reply.status >= SERVER_ERROR:
        return Unavailable(log_id=log_id)
    failure = _MEANING.get(code or "", RequestRefused if code else UnreadableReply)(log_id=log_id)
    failure.code = code
    return failure


def _code(body: Any) -> str | None:
    """TikTok's word for what went wrong; None where nothing did, or where what stands there is no code."""
    error = body.get("error") if isinstance(body, dict) else None
    code = lenient.read_identifier(error.get("code") if isinstance(error, dict) else error)
    return code.lower() if code and _CODE.fullmatch(code) and code.lower() not in _SUCCESSES else None


def _log_id(body: Any) -> str | None:
    """What TikTok's support asks for; beside an error that is a text, or within one that is an object."""
    beside = body.get("log_id") if isinstance(body, dict) else None
    return lenient.read_identifier(beside) or lenient.read_identifier(lenient.read_object(body, "error").get("log_id"))


def _counter(value: Any) -> int | None:
    count = lenient.read_integer(value)
    return count if count is not None and 0 <= count <= LARGEST_COUNTER else None


def _lifetime(value: Any) -> int | None:
    """Seconds that remain, neither so few that a token is renewed at each use nor more than the calendar has."""
    seconds = lenient.read_integer(value)
    return min(max(seconds, SHORTEST_LIFETIME), LONGEST_LIFETIME) if seconds and seconds > 0 else None


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
