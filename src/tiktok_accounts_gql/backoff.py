"""Exponential backoff with jitter, for everything that is tried again."""

import random
from datetime import timedelta

MAX_DOUBLINGS = 20  # what doubles more often would overflow long after it reached any limit


def backoff(attempts: int, *, first: timedelta, longest: timedelta) -> timedelta:
    """Return the pause after so many attempts: doubled with each, `longest` at most, with equal jitter.

    Equal jitter: half of the pause is certain, so that callers never retry at once; the other half is random, so that they
    do not retry together.
    """
    doublings = min(max(attempts - 1, 0), MAX_DOUBLINGS)
    return min(first * (1 << doublings), longest) * random.uniform(0.5, 1)  # noqa: S311 - no secret
