"""Readers that note what they were shown and when, and what they may have been shown."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.server import Api

LISTS = """
  accounts(first: 50) { totalCount edges { node { id status followerCount lastSyncedAt updatedAt } } }
  accountsSummary { totalAccounts activeAccounts totalFollowers oldestSyncAt }
"""
KEPT = f"query Kept {{ {LISTS} }}"
READ = f"query Read {{ viewer {{ userId }} {LISTS} }}"  # never kept: of `viewer` nothing is


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a viewer's lists were after a change; `by` is the server that has answered it."""

    lists: dict[str, Any]
    asked: float
    answered: float
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a reader was shown."""

    lists: dict[str, Any]
    began: float
    ended: float
    by: str
    kept: bool


async def current(api: Api) -> dict[str, Any]:
    """What is stored."""
    data = await api.data(READ)
    assert data.pop("viewer") == {"userId": api.viewer}
    return data


@dataclass(slots=True)
class Observed:
    """`later`: for how many seconds after a change a server may show what was before, unless it has made it itself."""

    later: float
    versions: defaultdict[str, list[Version]] = field(default_factory=lambda: defaultdict(list))
    sights: defaultdict[str, list[Sight]] = field(default_factory=lambda: defaultdict(list))

    async def changed(self, api: Api, *, asked: float, by: str) -> None:
        answered = time.monotonic()
        self.versions[api.viewer].append(Version(lists=await current(api), asked=asked, answered=answered, by=by))

    async def read(self, api: Api, by: str) -> None:
        began = time.monotonic()
        answer = await api.post(KEPT)
        body = answer.json()
        assert "errors" not in body, body
        sight = Sight(
            lists=body["data"],
            began=began,
            ended=time.monotonic(),
            by=by,
            kept="hit" in answer.headers["Cache-Status"],
        )
        self.sights[api.viewer].append(sight)

    @asynccontextmanager
    async def reading(self, *readers: tuple[Api, str]) -> AsyncGenerator[None]:
        """In the meantime each of them asks again and again."""

        async def keep_reading(api: Api, by: str) -> None:
            while True:
                await self.read(api, by)

        tasks = [asyncio.create_task(keep_reading(*reader)) for reader in readers]
        try:
            yield
        finally:
            failed = [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in failed:
                task.result()

    def wrong(self) -> list[str]:
        """Sights that are older than allowed, or of nothing that ever was this viewer's."""
        return [
            f"{sight.by} showed {viewer} {sight.lists}"
            for viewer, sights in self.sights.items()
            for sight in sights
            if sight.lists not in [version.lists for version in self._allowed(viewer, sight)]
        ]

    def kept(self, by: str) -> int:
        return sum(sight.kept for sights in self.sights.values() for sight in sights if sight.by == by)

    def _allowed(self, viewer: str, sight: Sight) -> list[Version]:
        versions = self.versions[viewer]
        shown = [n for n, one in enumerate(versions) if one.answered + self._delay(one, sight) <= sight.began]
        begun = [n for n, one in enumerate(versions) if one.asked <= sight.ended]
        return versions[shown[-1] if shown else 0 : begun[-1] + 1]

    def _delay(self, version: Version, sight: Sight) -> float:
        return 0 if version.by == sight.by else self.later
