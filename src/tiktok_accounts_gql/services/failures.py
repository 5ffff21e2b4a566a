"""Failures of background work: each is logged with its ids and counted, and stops nothing behind it."""

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


class Failures:
    """Logs and counts. `count` is called once for each failure."""

    def __init__(self, count: Callable[[FailureKind], None] = ignore) -> None:
        self.count = count

    def record(self, kind: FailureKind, error: BaseException, **ids: str) -> None:
        """A database that is away needs no traceback; what nobody expected does. `ids` never hold a token."""
        self.count(kind)
        if isinstance(error, ServiceUnavailable):
            log.warning("waiting for the database", kind=kind.value, **ids)
        else:
            log.error("background work failed", kind=kind.value, exc_info=error, **ids)

    @contextmanager
    def contained(self, kind: FailureKind, **ids: str) -> Iterator[None]:
        """A block for one item: whatever it raises is recorded and goes no further."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the next item has nothing to do with it
            self.record(kind, error, **ids)

    async def in_batch(
        self,
        kind: FailureKind,
        items: Sequence[Item],
        act: Callable[[Sequence[Item]], Awaitable[object]],
        *,
        name: Callable[[Item], dict[str, str]],
    ) -> list[Item]:
        """Acts on all items at once, or on their halves if that fails, and so on; returns those that failed alone.

        `act` does all of its work or nothing. `name`: an item's ids for the log. Raises ServiceUnavailable.
        """
        try:
            if items:
                await act(items)
        except ServiceUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one of them is to blame
            if len(items) > 1:
                middle = len(items) // 2
                halves = [await self.in_batch(kind, half, act, name=name) for half in (items[:middle], items[middle:])]
                return [item for failed in halves for item in failed]
            self.record(kind, error, **name(items[0]))
            return list(items)
        return []
