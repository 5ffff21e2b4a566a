"""Parses the bodies of webhooks, leniently: TikTok documents one spelling, and others with the same meaning are accepted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

AUTHORIZATION_REMOVED = "authorization.removed"
UNKNOWN_REASON = 0
MAX_JSON_NESTING = 3  # `content` is JSON within a JSON string; a proxy may have quoted it once more
MAX_EVENT_NAME_LENGTH = 100
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UNITS_PER_SECOND = (  # by the smallest number that is read as a time in this unit
    (10**17, 10**9),
    (10**14, 10**6),
    (10**11, 10**3),
)
_MAX_NUMBER = 2**70
_MAX_TIMESTAMP = 2**33  # in the year 2242; databases do not store every later time


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRemoval:
    """An authorization that TikTok ended. `occurred_at` is None if the body has no time that can be read."""

    open_id: str
    reason: int
    occurred_at: datetime | None


def parse_removal(body: bytes) -> AuthorizationRemoval | None:
    """Return None for another event, and for one that names no account."""
    event = _to_object(body.removeprefix(_BYTE_ORDER_MARK))
    open_id = _to_identifier(event.get("user_openid"))
    if _to_identifier(event.get("event")).casefold() != AUTHORIZATION_REMOVED or not open_id:
        return None
    reason = _to_number(_to_object(event.get("content")).get("reason"))
    return AuthorizationRemoval(
        open_id=open_id,
        reason=int(reason) if reason is not None and reason == int(reason) else UNKNOWN_REASON,
        occurred_at=_to_time(event.get("create_time")),
    )


def parse_event_name(body: bytes) -> str:
    """Return the event's name, cut to a length that suits a log; "None" if it has none."""
    return str(_to_object(body.removeprefix(_BYTE_ORDER_MARK)).get("event"))[:MAX_EVENT_NAME_LENGTH]


def _to_object(value: object) -> Mapping[str, Any]:
    """Return a JSON object, also from its text; an empty one for everything else."""
    for _ in range(MAX_JSON_NESTING):
        if not isinstance(value, str | bytes):
            break
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, dict) else {}


def _to_identifier(value: object) -> str:
    """Return text without surrounding spaces, also from an integer; empty for the rest, and for NUL, as in PostgreSQL."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) and "\0" not in value else ""


def _to_number(value: object) -> float | int | None:
    """Return a finite number, also from its text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < _MAX_NUMBER else None  # the comparison is also false for NaN and infinity


def _to_time(value: object) -> datetime | None:
    """Return a time from a Unix time in (milli-, micro-, nano-) seconds, or from ISO 8601 with a time zone."""
    number = _to_number(value)
    if number is None:
        try:
            time = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
        except ValueError:
            return None
        return time if time is not None and time.tzinfo is not None else None
    if number <= 0:
        return None
    units = next((units for smallest, units in _UNITS_PER_SECOND if number >= smallest), 1)
    return datetime.fromtimestamp(min(number / units, _MAX_TIMESTAMP), UTC)
