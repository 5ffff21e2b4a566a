"""Services in memory, which return rows that keep the schema's promises, or invalid values at a given rate.

Everything follows from a seed and is built once: two executions against the same services get the same objects.
"""

from collections.abc import Callable, Collection
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar, cast
from uuid import UUID

from aiodataloader import DataLoader

from tests.execution.fake_rows import (
    INVALID_VALUES,
    KEYS,
    NOW,
    VIEWER,
    build_account,
    build_event,
    build_growth,
    build_job,
    build_result,
    build_snapshot,
    build_summary,
)
from tiktok_accounts_gql.pagination import Edge, Page, PageInfo
from tiktok_accounts_gql.resolvers.context import Context
from tiktok_accounts_gql.resolvers.loaders import Loaders
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.viewer import Viewer

T = TypeVar("T")


class _UnbatchedLoaders:
    """Loaders that load one key at a time."""

    def __init__(self, loaders: Any) -> None:
        self._loaders = loaders

    def __getattr__(self, name: str) -> Any:
        loader = getattr(self._loaders, name)
        if isinstance(loader, DataLoader):
            return _UnbatchedLoader(loader)
        return lambda *arguments: _UnbatchedLoader(loader(*arguments))


class _UnbatchedLoader:
    def __init__(self, loader: DataLoader[Any, Any]) -> None:
        self._load = loader.batch_load_fn

    async def load(self, key: UUID) -> Any:
        [value] = await self._load([key])
        if isinstance(value, Exception):
            raise value
        return value


class FakeServices:
    """`invalid_rate`: the probability that a value, or what a service returns, is invalid. `calls` are in order."""

    def __init__(self, seed: int, invalid_rate: float) -> None:
        self._seed = seed
        self._invalid_rate = invalid_rate
        self._cache: dict[str, Any] = {}
        self.calls: list[str] = []

    def new_context(self, *, batching: bool, services: Any = None) -> Context:
        """Return the context of a new request. Without batching nothing takes longer than anything else.

        This matters where several errors make a value null: graphql-core reports those that it meets first.
        """
        services = cast(Services, services or self.build())
        loaders = Loaders(VIEWER, services)
        return Context(
            viewer=VIEWER, services=services, loaders=loaders if batching else cast(Loaders, _UnbatchedLoaders(loaders))
        )

    def build(self) -> Any:
        account = self._builder("account", build_account, whole={"id", "avatar_hash", "granted_scopes"})
        event = self._builder("event", build_event, whole={"id", "account_id"})
        job = self._builder("job", build_job, whole={"id"})
        result = self._builder("result", build_result, whole={"id", "account_id"})
        snapshot = self._builder("snapshot", build_snapshot)
        return SimpleNamespace(
            accounts=SimpleNamespace(
                list=self._list("accounts", account),
                count_all=self._one("count", lambda _: 5),
                summarize=self._one("summarize", self._builder("summary", build_summary)),
                find=self._many("accounts", account),
                read=self._many("account_reads", account),
            ),
            audit=SimpleNamespace(
                list=self._list("events", event),
                read=self._many("events", event),
                record_read=self._one("audit", lambda _: None),
            ),
            job_lists=SimpleNamespace(
                list=self._list("jobs", job),
                count=self._one("job_count", lambda _: 5),
                read=self._many("jobs", job),
                list_results=self._list("results", result),
                list_first_results=self._nothing,
                count_all_results=self._many("result_counts", lambda _: 5),
                count_results=self._one("result_count", lambda _: 5),
                read_results=self._many("results", result),
                estimate_end=self._one("end", lambda _: NOW),
            ),
            history=SimpleNamespace(
                build_period=lambda *arguments: arguments,
                list_points=self._many("points", lambda key: [snapshot(key), snapshot(key)]),
                list_growth=self._many("growth", self._builder("growth", build_growth)),
            ),
            scopes=("user.info.basic", "user.info.stats"),
            public_url="https://accounts.example.com",
        )

    async def _nothing(self, *_: Any) -> dict[Any, Any]:
        """Load nothing ahead, so that each list is read by itself."""
        return {}

    def _builder(
        self, name: str, build: Callable[[Any], T], *, whole: Collection[str] = frozenset()
    ) -> Callable[[Any], T]:
        """Return a builder of rows with invalid values; `whole` attributes keep theirs: a resolver computes with them."""

        def build_row(key: object) -> T:
            return self._once(f"{name} {key}", lambda random: corrupt(random, build(key)))

        def corrupt(random: Random, row: T) -> T:
            for attribute in list(vars(row)):
                if not attribute.startswith("_") and attribute not in whole:
                    setattr(row, attribute, self._corrupt(random, getattr(row, attribute)))
            return row

        return build_row

    def _list(self, name: str, build: Callable[[UUID], Any]) -> Callable[..., Any]:
        async def read(viewer: Viewer, *arguments: Any) -> Any:
            del viewer
            call = f"{name} {arguments[:3]!r}"  # without the look-ahead, which changes no answer
            self.calls.append(call)
            return _return_or_raise(self._once(call, lambda random: self._build_page(random, build)))

        return read

    def _build_page(self, random: Random, build: Callable[[UUID], Any]) -> Any:
        edges = [Edge(build(key), partial("cursor-{}".format, key.int)) for key in KEYS[: random.randint(0, 4)]]
        page = Page.of(edges, has_next=random.random() < 0.5, has_previous=False)
        values = {"edges": edges, "page_info": page.page_info, "filter": "all of them", "job_id": KEYS[0]}
        result = SimpleNamespace(**{name: self._corrupt(random, value) for name, value in values.items()})
        if isinstance(result.page_info, PageInfo):
            info = {name: self._corrupt(random, getattr(page.page_info, name)) for name in PageInfo.__slots__}
            result.page_info = SimpleNamespace(**info)
        return self._corrupt(random, result)

    def _one(self, name: str, build: Callable[[object], Any]) -> Callable[..., Any]:
        async def read(*arguments: Any) -> Any:
            del arguments
            self.calls.append(name)
            return _return_or_raise(self._once(name, lambda random: self._corrupt(random, build(None))))

        return read

    def _many(self, name: str, build: Callable[[UUID], Any]) -> Callable[..., Any]:
        """Return a read of several keys. An exception is the value of one key, whatever other keys are read with it."""

        def build_value(call: str, key: UUID) -> Any:
            value = build(key) if key in KEYS else None
            return self._once(call, lambda random: self._corrupt(random, value))

        async def read(viewer: Viewer, keys: Collection[UUID], *arguments: Any) -> Any:
            del viewer
            self.calls += [f"{name} {key}" for key in keys]
            return {key: build_value(f"{name} {arguments!r} {key}", key) for key in keys}

        return read

    def _corrupt(self, random: Random, value: Any) -> Any:
        return random.choice(INVALID_VALUES) if random.random() < self._invalid_rate else value

    def _once(self, name: str, build: Callable[[Random], T]) -> T:
        if name not in self._cache:
            self._cache[name] = build(Random(f"{self._seed} {name}"))
        value: T = self._cache[name]
        return value


def _return_or_raise(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value
