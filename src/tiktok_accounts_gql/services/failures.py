"""Failures of background work: each is logged with its ids and counted, and does not stop the items behind it."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TypeVar

import structlog

from tiktok_accounts_gql.errors import ServiceUnavailable

log = structlog.get_logger()
Item = TypeVar("Item")


class FailureKind(StrEnum):
    """What failed; the label of the metric `accounts_background_failures_total`."""

    TOKEN_RENEWAL = "token_renewal"  # noqa: S105
    REVOCATION = "revocation"
    WEBHOOK = "webhook"
    SCHEDULE = "schedule"
    SCHEDULED_SYNC = "scheduled_sync"
    PRUNING = "pruning"
    THINNING = "thinning"
    AUDIT_GROUP = "audit_group"
    LISTENER = "listener"
    ROUND = "round"
    TASK = "task"


def ignore(kind: FailureKind) -> None:
    del kind


class FailureLog:
    """Logs and counts failures. `count` is called once for each."""

    def __init__(self, count: Callable[[FailureKind], None] = ignore) -> None:
        self.count = count

    def record(self, kind: FailureKind, error: BaseException, **ids: str) -> None:
        """Log and count an error: with a traceback, unless the database is down. `ids` must not hold a token."""
        self.count(kind)
        if isinstance(error, ServiceUnavailable):
            log.warning("waiting for the database", kind=kind.value, **ids)
        else:
            log.error("background work failed", kind=kind.value, exc_info=error, **ids)

    @contextmanager
    def suppress(self, kind: FailureKind, **ids: str) -> Iterator[None]:
        """Record whatever the block raises, and go on: the next item has nothing to do with it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - recorded
            self.record(kind, error, **ids)

    async def run_bisecting(
        self,
        kind: FailureKind,
        items: Sequence[Item],
        process: Callable[[Sequence[Item]], Awaitable[object]],
        *,
        ids_of: Callable[[Item], dict[str, str]],
    ) -> list[Item]:
        """Process all items at once; if that fails, each half by itself, and so on. Return the items that failed alone.

        `process` does all of its work or nothing. `ids_of`: an item's ids for the log. Raises ServiceUnavailable.
        """
        try:
            if items:
                await process(items)
        except ServiceUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one of the items is the cause
            if len(items) > 1:
                middle = len(items) // 2
                return [
                    item
                    for half in (items[:middle], items[middle:])
                    for item in await self.run_bisecting(kind, half, process, ids_of=ids_of)
                ]
            self.record(kind, error, **ids_of(items[0]))
            return list(items)
        return []
