"""What the body of a webhook says. TikTok's pages show one spelling; values are read in any other that means the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

REMOVED = "authorization.removed"
UNKNOWN_REASON = 0
DEEPEST_TEXT = 3  # `content` is JSON within a JSON string; a proxy may have quoted it once more
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UNITS = (
    (10**17, 10**9),
    (10**14, 10**6),
    (10**11, 10**3),
)  # from how much on a time counts nano-, micro-, milliseconds
_LATEST = 2**33  # the year 2242: later ones are no times for a database


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """An authorization that TikTok ended. `occurred_at` is None if the body has no time that can be read."""

    open_id: str
    reason: int
    occurred_at: datetime | None


def read_removal(body: bytes) -> Removal | None:
    """None for another event, and for what names no account."""
    event = _object(body.removeprefix(_BYTE_ORDER_MARK))
    open_id = _name(event.get("user_openid"))
    if _name(event.get("event")).casefold() != REMOVED or not open_id:
        return None
    reason = _number(_object(event.get("content")).get("reason"))
    return Removal(
        open_id=open_id,
        reason=int(reason) if reason is not None and reason == int(reason) else UNKNOWN_REASON,
        occurred_at=_time(event.get("create_time")),
    )


def event_name(body: bytes) -> str:
    """For the log."""
    return str(_object(body.removeprefix(_BYTE_ORDER_MARK)).get("event"))[:100]


def _object(value: object) -> Mapping[str, Any]:
    """A JSON object, or one from its text. Empty for anything else."""
    for _ in range(DEEPEST_TEXT):
        if not isinstance(value, str | bytes):
            break
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, dict) else {}


def _name(value: object) -> str:
    """Empty for what is none. NUL is in no name, and PostgreSQL does not look for it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) and "\0" not in value else ""


def _number(value: object) -> float | int | None:
    """A finite one, or one from its text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 2**70 else None  # also false for NaN and infinity


def _time(value: object) -> datetime | None:
    """From seconds since 1970, or parts of them, or a time in ISO 8601 with its zone."""
    number = _number(value)
    if number is None:
        return _iso_time(value)
    if number <= 0:
        return None
    unit = next((unit for least, unit in _UNITS if number >= least), 1)
    return datetime.fromtimestamp(min(number / unit, _LATEST), UTC)


def _iso_time(value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
    except ValueError:
        return None
    return time if time is not None and time.tzinfo is not None else None
