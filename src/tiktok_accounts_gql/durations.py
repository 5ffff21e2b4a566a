"""Durations as operators write them: `30m`, `24h`, `7d`."""

import re
from datetime import timedelta

_DURATION = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """Return the duration that a number and one of the units s, m, h and d stand for. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("is not a duration, which is a number and one of s, m, h, d, such as 90m or 24h")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
