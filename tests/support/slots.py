"""Which slots of TikTok's quota are taken, and how far ahead each of them lies."""

from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from tiktok_accounts_gql.db import quota
from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.models import RequestQuota
from tiktok_accounts_gql.db.quota import Endpoint, RateLimitPolicy, Slot
from tiktok_accounts_gql.wiring import Running

NEAR = timedelta(seconds=0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    endpoint: Endpoint
    wait: timedelta


class TakenSlots(list[Taken]):
    """In the order in which they were granted."""

    @property
    def counts(self) -> Counter[str]:
        return Counter(one.endpoint.value for one in self)

    @property
    def longest_wait(self) -> timedelta:
        return max((one.wait for one in self), default=timedelta(0))


@contextmanager
def watched() -> Iterator[TakenSlots]:
    """What is granted meanwhile, by every service of this process."""
    taken, take = TakenSlots(), quota.take

    async def take_watched(session: object, endpoint: Endpoint, pace: RateLimitPolicy, **options: object) -> Slot:
        slot = await take(session, endpoint, pace, **options)  # type: ignore[arg-type]
        if slot.granted:
            taken.append(Taken(endpoint=endpoint, wait=slot.wait))
        return slot

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quota, "take", take_watched)
        yield taken


async def set_row(running: Running, endpoint: Endpoint, **seconds_from_now: float | None) -> None:
    """Of the quota: `next_at`, `closed_until` in so many seconds by the database's clock."""
    insert = (postgresql if running.db.engines[0].dialect.name == "postgresql" else sqlite).insert(RequestQuota)
    values = {name: None if at is None else FromNow(at) for name, at in seconds_from_now.items()}
    async with running.db.transaction() as session:
        new = insert.values(name=endpoint, next_at=FromNow(), failures=0).on_conflict_do_nothing()
        await session.execute(new)
        changed = update(RequestQuota).where(col(RequestQuota.name) == endpoint).values(**values)
        await session.execute(changed, execution_options={"synchronize_session": False})


@asynccontextmanager
async def users_ahead(running: Running, seconds: float) -> AsyncGenerator[TakenSlots]:
    """All endpoints are booked for so long: only who waits in the users' lane gets a slot before."""
    for endpoint in Endpoint:
        await set_row(running, endpoint, next_at=seconds)
    with watched() as taken:
        yield taken
