"""One set of loaders per request: many objects ask for the same kind of thing, one statement answers.

A loader answers in the order asked and calls a service, so that permission holds in batches too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

from aiodataloader import DataLoader

from tiktok_accounts_gql.db.models import Account, AuditEvent, SyncJob, SyncResult
from tiktok_accounts_gql.db.snapshot_queries import Point
from tiktok_accounts_gql.db.snapshots import Period
from tiktok_accounts_gql.db.sync_jobs import ResultFilter
from tiktok_accounts_gql.pagination import PageRequest
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.history import Growth
from tiktok_accounts_gql.services.sync.job_lists import ResultPage
from tiktok_accounts_gql.services.viewer import Viewer

Value = TypeVar("Value")


class _Loader(DataLoader[Any, Any]):
    """One that nobody can cancel for others.

    Who asks for the same key waits for the same future, and graphql-core cancels who waits beside a field that failed.
    """

    def load(self, key: Any) -> "asyncio.Future[Any]":
        return asyncio.shield(super().load(key))


class Loaders:
    """`accounts` for accounts within something else, `account_reads` for accounts that are asked for themselves.

    Each is made when it is needed: most requests need none.
    """

    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._services = services
        self._by_arguments: dict[Hashable, DataLoader[UUID, Any]] = {}

    @cached_property
    def accounts(self) -> "DataLoader[UUID, Account | None]":
        return _loader(lambda ids: self._services.accounts.find(self._viewer, ids))

    @cached_property
    def account_reads(self) -> "DataLoader[UUID, Account | None]":
        return _loader(lambda ids: self._services.accounts.read(self._viewer, ids))

    @cached_property
    def audit_events(self) -> "DataLoader[UUID, AuditEvent | None]":
        return _loader(lambda ids: self._services.audit.read(self._viewer, ids))

    @cached_property
    def sync_jobs(self) -> "DataLoader[UUID, SyncJob | None]":
        return _loader(lambda ids: self._services.job_lists.read(self._viewer, ids))

    @cached_property
    def sync_results(self) -> "DataLoader[UUID, SyncResult | None]":
        return _loader(lambda ids: self._services.job_lists.read_results(self._viewer, ids))

    def stats(self, period: Period) -> "DataLoader[UUID, list[Point] | None]":
        history = self._services.history
        return self._once(period, lambda ids: history.list_points(self._viewer, ids, period))

    def growth(self, days: int) -> "DataLoader[UUID, Growth | None]":
        history = self._services.history
        return self._once(days, lambda ids: history.list_growth(self._viewer, ids, days))

    def results(self, page: PageRequest, where: ResultFilter) -> "DataLoader[UUID, ResultPage | None]":
        """First pages of the results of jobs."""
        lists = self._services.job_lists
        return self._once((page, where), lambda ids: lists.list_first_results(self._viewer, ids, page, where))

    def result_counts(self, where: ResultFilter) -> "DataLoader[UUID, int | None]":
        lists = self._services.job_lists
        return self._once(("counts", where), lambda ids: lists.count_all_results(self._viewer, ids, where))

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

    return _Loader(load_in_order)
