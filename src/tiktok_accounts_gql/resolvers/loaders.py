"""Data loaders: many objects of a response are loaded by one statement.

A loader returns objects in the order of the ids and calls a service, which checks permission for batches too.
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
    """A loader whose loads cannot be cancelled.

    Fields with the same key wait for the same future. graphql-core cancels the siblings of a field that failed, which would
    cancel the future for all others.
    """

    def load(self, key: Any) -> "asyncio.Future[Any]":
        return asyncio.shield(super().load(key))


class Loaders:
    """The loaders of one request. Each is created when it is first used, because most requests use none.

    `account_reads` is for accounts that a client requests by id, which is audited; `accounts` for those within another object.
    """

    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._services = services
        self._by_arguments: dict[Hashable, DataLoader[UUID, Any]] = {}

    @cached_property
    def accounts(self) -> "DataLoader[UUID, Account | None]":
        return _create_loader(lambda ids: self._services.accounts.find(self._viewer, ids))

    @cached_property
    def account_reads(self) -> "DataLoader[UUID, Account | None]":
        return _create_loader(lambda ids: self._services.accounts.read(self._viewer, ids))

    @cached_property
    def audit_events(self) -> "DataLoader[UUID, AuditEvent | None]":
        return _create_loader(lambda ids: self._services.audit.read(self._viewer, ids))

    @cached_property
    def sync_jobs(self) -> "DataLoader[UUID, SyncJob | None]":
        return _create_loader(lambda ids: self._services.job_lists.read(self._viewer, ids))

    @cached_property
    def sync_results(self) -> "DataLoader[UUID, SyncResult | None]":
        return _create_loader(lambda ids: self._services.job_lists.read_results(self._viewer, ids))

    def stats(self, period: Period) -> "DataLoader[UUID, list[Point] | None]":
        history = self._services.history
        return self._get_or_create(period, lambda ids: history.list_points(self._viewer, ids, period))

    def growth(self, days: int) -> "DataLoader[UUID, Growth | None]":
        history = self._services.history
        return self._get_or_create(days, lambda ids: history.list_growth(self._viewer, ids, days))

    def results(self, page: PageRequest, result_filter: ResultFilter) -> "DataLoader[UUID, ResultPage | None]":
        """Return the loader of the first pages of results of jobs."""
        lists = self._services.job_lists
        return self._get_or_create(
            (page, result_filter), lambda ids: lists.list_first_results(self._viewer, ids, page, result_filter)
        )

    def result_counts(self, result_filter: ResultFilter) -> "DataLoader[UUID, int | None]":
        lists = self._services.job_lists
        return self._get_or_create(
            ("counts", result_filter), lambda ids: lists.count_all_results(self._viewer, ids, result_filter)
        )

    def _get_or_create(
        self, arguments: Hashable, load: Callable[[list[UUID]], Awaitable[dict[UUID, Value]]]
    ) -> "DataLoader[UUID, Value | None]":
        """Return the loader with these arguments."""
        if arguments not in self._by_arguments:
            self._by_arguments[arguments] = _create_loader(load)
        return self._by_arguments[arguments]


def _create_loader(load: Callable[[list[UUID]], Awaitable[dict[UUID, Value]]]) -> "DataLoader[UUID, Value | None]":
    async def load_in_order(ids: list[UUID]) -> list[Value | None]:
        values = await load(ids)
        return [values.get(key) for key in ids]

    return _Loader(load_in_order)
