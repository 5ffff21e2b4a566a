"""When a failed sync of a job is tried again."""

import random
from datetime import timedelta

from tiktok_accounts_gql.backoff import backoff
from tiktok_accounts_gql.errors import OperationError
from tiktok_accounts_gql.tiktok.errors import CallDeferred

MAX_ATTEMPTS = 5
FIRST_RETRY = timedelta(seconds=2)
LONGEST_RETRY = timedelta(minutes=5)


def retry_in(attempts: int, error: OperationError) -> timedelta:
    """Return the pause after so many attempts: a backoff, or what TikTok asked for if that is longer."""
    seconds = error.retry_after_seconds or 0 if error.retry_after_from_tiktok else 0
    retry_after = timedelta(seconds=seconds) * random.uniform(1, 1.1)  # noqa: S311 - no secret
    return max(backoff(attempts, first=FIRST_RETRY, longest=LONGEST_RETRY), retry_after)


def retry_deferred_in(error: CallDeferred) -> timedelta:
    """Return the pause after which a deferred call is made: at random, so that the first probe tells the others."""
    return timedelta(seconds=error.retry_after or 1) * random.uniform(1, 2)  # noqa: S311 - no secret
