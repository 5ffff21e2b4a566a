"""When what failed is tried again, and what is."""

import random
from datetime import timedelta

from tiktok_accounts_gql.errors import OperationError
from tiktok_accounts_gql.tiktok.errors import NotAsked

MAX_ATTEMPTS = 5
FIRST_RETRY = timedelta(seconds=2)
LONGEST_RETRY = timedelta(minutes=5)


def retry_in(attempts: int, error: OperationError) -> timedelta:
    """Doubles with each attempt, with equal jitter; TikTok's own word counts if it is longer."""
    jittered = min(FIRST_RETRY * (1 << (attempts - 1)), LONGEST_RETRY) * random.uniform(0.5, 1)  # noqa: S311 - no secret
    told = timedelta(seconds=error.retry_after_seconds or 0) if error.retry_after_from_tiktok else timedelta(0)
    return max(jittered, told * random.uniform(1, 1.1))  # noqa: S311


def wait_for_tiktok(error: NotAsked) -> timedelta:
    """Not all at once: the first one finds out for the others."""
    return timedelta(seconds=error.retry_after or 1) * random.uniform(1, 2)  # noqa: S311 - no secret
