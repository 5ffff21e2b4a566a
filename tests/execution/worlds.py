"""What services would return, in memory: rows that keep the schema's promises, and such that break them.

Everything comes from a seed and is made once: two executions against one world meet the same objects.
"""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar, cast
from uuid import UUID

from aiodataloader import DataLoader
from graphql import GraphQLError

from tiktok_accounts_gql.db.account_totals import AccountsSummary
from tiktok_accounts_gql.db.models import (
    Account,
    AccountStatus,
    AuditAction,
    AuditActor,
    AuditEvent,
    HealthReason,
    JobState,
    Snapshot,
    SyncJob,
    SyncOutcome,
    SyncResult,
)
from tiktok_accounts_gql.errors import BadUserInput
from tiktok_accounts_gql.pagination import Edge, Page, PageInfo
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.resolvers.context import Context
from tiktok_accounts_gql.resolvers.loaders import Loaders
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.history import AccountGrowth
from tiktok_accounts_gql.services.viewer import Viewer

Row = TypeVar("Row")

VIEWER = Viewer(id="viewer")
NOW = datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC)
KEYS = [UUID(int=number) for number in range(1, 6)]
KNOWN_IDS = [ids.encode(kind, key) for kind in ids.NodeKind if kind is not ids.NodeKind.VIEWER for key in KEYS[:3]]
KNOWN_IDS += [ids.encode(ids.NodeKind.VIEWER, VIEWER.id), ids.encode(ids.NodeKind.VIEWER, "other"), "no id"]

ODD: list[Any] = [
    None,
    7,
    -1.5,
    3.0,
    float("nan"),
    float("inf"),
    2**31,
    2**53,
    True,
    "",
    "ACTIVE",
    "\N{SNOWMAN}",
    [],
    [None],
    ["a", 1],
    ("a", "b"),
    {},
    {"name": 1},
    object(),
    AccountStatus.ACTIVE,
    HealthReason.SCOPE_MISSING,
    NOW,
    NOW.replace(tzinfo=None),
    NOW.astimezone(timezone(timedelta(hours=5, minutes=30))),
    ValueError("a value"),
    GraphQLError("a located value", extensions={"code": "ODD"}),
    BadUserInput("Not this."),
]


class _AtOnce:
    """Loaders that ask for one key at a time."""

    def __init__(self, loaders: Any) -> None:
        self._loaders = loaders

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._loaders, name)
        return _Loader(found) if isinstance(found, DataLoader) else lambda *arguments: _Loader(found(*arguments))


class _Loader:
    def __init__(self, loader: DataLoader[Any, Any]) -> None:
        self._load = loader.batch_load_fn

    async def load(self, key: UUID) -> Any:
        [found] = await self._load([key])
        if isinstance(found, Exception):
            raise found
        return found


class World:
    """`oddity`: how likely a value, or what a service returns, is odd."""

    def __init__(self, seed: int, oddity: float) -> None:
        self._seed = seed
        self._oddity = oddity
        self._made: dict[str, Any] = {}
        self.calls: list[str] = []

    def context(self, *, batching: bool, services: Any = None) -> Context:
        """Of a new request. Without batching nothing takes longer than anything else.

        Of several errors in what becomes null, graphql-core tells those that it meets first.
        """
        services = cast(Services, services or self.services())
        loaders = Loaders(VIEWER, services)
        return Context(
            viewer=VIEWER, services=services, loaders=loaders if batching else cast(Loaders, _AtOnce(loaders))
        )

    async def _nothing(self, *_: Any) -> dict[Any, Any]:
        """So that each list is asked for by itself."""
        return {}

    def services(self) -> Any:
        return SimpleNamespace(
            accounts=SimpleNamespace(
                list=self._list(self.account),
                total=self._one("count", lambda _: 5),
                summarize=self._one("summarize", self.summary),
                find=self._several("accounts", self.account),
                read=self._several("account_reads", self.account),
            ),
            audit=SimpleNamespace(
                list=self._list(self.event),
                read=self._several("events", self.event),
                record_read=self._one("audit", lambda _: None),
            ),
            job_lists=SimpleNamespace(
                list=self._list(self.job),
                count=self._one("job_count", lambda _: 5),
                read=self._several("jobs", self.job),
                list_results=self._list(self.result),
                list_first_results=self._nothing,
                count_all_results=self._several("result_counts", lambda _: 5),
                count_results=self._one("result_count", lambda _: 5),
                read_results=self._several("results", self.result),
                estimate_end=self._one("end", lambda _: NOW),
            ),
            history=SimpleNamespace(
                period=lambda *arguments: arguments,
                list_points=self._several("points", lambda key: [self.snapshot(key), self.snapshot(key)]),
                list_growth=self._several("growth", self.growth),
            ),
            scopes=("user.info.basic", "user.info.stats"),
            public_url="https://accounts.example.com",
        )

    def account(self, key: UUID) -> Account:
        row = Account(
            id=key,
            viewer_id=VIEWER.id,
            open_id=f"open-{key.int}",
            username="somebody",
            display_name="Some\u2028body",
            display_name_key="somebody",
            search_text="somebody",
            avatar_hash="abc",
            health_reason=HealthReason.RATE_LIMITED,
            health_since=NOW,
            is_verified=False,
            follower_count=2**40,
            granted_scopes=["user.info.basic"],
            last_synced_at=NOW.replace(microsecond=0),
            created_at=NOW,
            connected_at=NOW,
            updated_at=NOW,
        )
        return self._spoilt("account", key, row, "id avatar_hash granted_scopes")

    def event(self, key: UUID) -> AuditEvent:
        row = AuditEvent(
            id=key,
            viewer_id=VIEWER.id,
            action=AuditAction.ACCOUNT_READ,
            is_change=False,
            created_at=NOW,
            account_id=KEYS[0] if key.int % 2 else None,
            actor=AuditActor.USER,
            details=[{"name": "count", "value": "1", "previousValue": None}],
        )
        return self._spoilt("event", key, row, "id account_id")

    def job(self, key: UUID) -> SyncJob:
        row = SyncJob(
            id=key, viewer_id=VIEWER.id, state=JobState.RUNNING, total_count=3, created_at=NOW, succeeded_count=1
        )
        return self._spoilt("job", key, row, "id")

    def result(self, key: UUID) -> SyncResult:
        row = SyncResult(
            id=key,
            job_id=KEYS[0],
            viewer_id=VIEWER.id,
            position=1,
            turn=1,
            account_id=KEYS[key.int % 3],
            outcome=SyncOutcome.FAILED,
            error_code="SYNC_FAILED" if key.int % 2 else None,
            error_message="It failed.",
        )
        return self._spoilt("result", key, row, "id account_id")

    def snapshot(self, key: UUID) -> Snapshot:
        row = Snapshot(viewer_id=VIEWER.id, account_id=key, recorded_at=NOW, hour=1, follower_count=3)
        return self._spoilt("snapshot", key, row, "")

    def growth(self, key: UUID) -> Any:
        row = AccountGrowth(
            since=NOW, follower_change=3, follower_change_rate=0.1, likes_change=None, video_change=-(2**40)
        )
        return self._spoilt("growth", key, SimpleNamespace(**{name: getattr(row, name) for name in row.__slots__}), "")

    def summary(self, key: object) -> Any:
        columns = AccountsSummary.__dataclass_fields__
        values = {name: NOW if name.endswith("_at") else 4 for name in columns}
        return self._spoilt("summary", key, SimpleNamespace(**values), "")

    def _list(self, make: Callable[[UUID], Any]) -> Callable[..., Any]:
        async def read(viewer: Viewer, *arguments: Any) -> Any:
            del viewer
            what = f"{make.__name__}s {arguments[:3]!r}"  # what is loaded ahead changes no answer
            self.calls.append(what)
            found = self._once(what, lambda random: self._page(random, make))
            if isinstance(found, Exception):
                raise found
            return found

        return read

    def _page(self, random: Random, make: Callable[[UUID], Any]) -> Any:
        edges = [Edge(make(key), partial("cursor-{}".format, key.int)) for key in KEYS[: random.randint(0, 4)]]
        page = Page.of(edges, has_next=random.random() < 0.5, has_previous=False)
        values = {"edges": edges, "page_info": page.page_info, "where": "all of them", "job_id": KEYS[0]}
        spoilt = SimpleNamespace(**{name: self._odd_or(random, value) for name, value in values.items()})
        if isinstance(spoilt.page_info, PageInfo):
            info = {name: self._odd_or(random, getattr(page.page_info, name)) for name in PageInfo.__slots__}
            spoilt.page_info = SimpleNamespace(**info)
        return self._odd_or(random, spoilt)

    def _one(self, what: str, make: Callable[[object], Any]) -> Callable[..., Any]:
        async def read(*arguments: Any) -> Any:
            del arguments
            self.calls.append(what)
            found = self._once(what, lambda random: self._odd_or(random, make(None)))
            if isinstance(found, Exception):
                raise found
            return found

        return read

    def _several(self, what: str, make: Callable[[UUID], Any]) -> Callable[..., Any]:
        """Exceptions are those of one key, whichever others it was asked for with."""

        async def read(viewer: Viewer, keys: Collection[UUID], *arguments: Any) -> Any:
            del viewer
            self.calls += [f"{what} {key}" for key in keys]
            return {key: self._found(f"{what} {arguments!r}", key, make) for key in keys}

        return read

    def _found(self, what: str, key: UUID, make: Callable[[UUID], Any]) -> Any:
        known = make(key) if key in KEYS else None
        return self._once(f"{what} {key}", lambda random: self._odd_or(random, known))

    def _spoilt(self, what: str, key: object, row: Row, whole: str) -> Row:
        """With odd values in it, but for those that a resolver computes with."""

        def make(random: Random) -> Row:
            for name in list(row.__dict__):
                if not name.startswith("_") and name not in whole.split():
                    setattr(row, name, self._odd_or(random, getattr(row, name)))
            return row

        return self._once(f"{what} {key}", make)

    def _odd_or(self, random: Random, value: Any) -> Any:
        return random.choice(ODD) if random.random() < self._oddity else value

    def _once(self, what: str, make: Callable[[Random], Row]) -> Row:
        if what not in self._made:
            self._made[what] = make(Random(f"{self._seed} {what}"))
        made: Row = self._made[what]
        return made
