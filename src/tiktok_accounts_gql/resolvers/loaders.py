"""One set of loaders per request: many objects ask for the same kind of thing, one statement answers.

A loader answers in the order asked and calls a service, so that permission holds in batches too.
"""

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar
from uuid import UUID

from aiodataloader import DataLoader

from tiktok_accounts_gql.db.models import Account, AuditEvent, Snapshot, SyncJob, SyncResult
from tiktok_accounts_gql.db.snapshots import Period
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.history import AccountGrowth
from tiktok_accounts_gql.services.viewer import Viewer

Value = TypeVar("Value")


class Loaders:
    """`accounts` for accounts within something else, `account_reads` for accounts that are asked for themselves."""

    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._services = services
        self._by_arguments: dict[Hashable, DataLoader[UUID, Any]] = {}
        self.accounts: DataLoader[UUID, Account | None] = _loader(lambda ids: services.accounts.find(viewer, ids))
        self.account_reads: DataLoader[UUID, Account | None] = _loader(lambda ids: services.accounts.read(viewer, ids))
        self.audit_events: DataLoader[UUID, AuditEvent | None] = _loader(lambda ids: services.audit.read(viewer, ids))
        self.sync_jobs: DataLoader[UUID, SyncJob | None] = _loader(lambda ids: services.job_lists.read(viewer, ids))
        self.sync_results: DataLoader[UUID, SyncResult | None] = _loader(
            lambda ids: services.job_lists.read_results(viewer, ids)
        )

    def stats(self, period: Period) -> "DataLoader[UUID, list[Snapshot] | None]":
        history = self._services.history
        return self._once(period, lambda ids: history.list_points(self._viewer, ids, period))

    def growth(self, days: int) -> "DataLoader[UUID, AccountGrowth | None]":
        history = self._services.history
        return self._once(days, lambda ids: history.list_growth(self._viewer, ids, days))

    def _once(
        self, arguments: Hashable, load: Callable[[list[UUID]], Awaitable[dict[UUID, Value]]]
    ) -> "DataLoader[UUID, Value | None]":
        """The same loader for the same arguments."""
        if arguments not in self._by_arguments:
            self._by_arguments[arguments] = _loader(load)
        return self._by_arguments[arguments]


def _loader(load: Callable[[list[UUID]], Awaitable[dict[UUID, Value]]]) -> "DataLoader[UUID, Value | None]":
    async def load_in_order(ids: list[UUID]) -> list[Value | None]:
        found = await load(ids)
        return [found.get(one) for one in ids]

    return DataLoader(load_in_order)
