"""Recording of the granted slots of TikTok's quotas, and how far ahead each of them lies."""

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
from tiktok_accounts_gql.db.quota import Endpoint, QuotaSlot, RateLimitPolicy
from tiktok_accounts_gql.wiring import Running

NEAR = timedelta(seconds=0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedSlot:
    endpoint: Endpoint
    wait: timedelta


class GrantedSlots(list[GrantedSlot]):
    """Slots in the order in which they were granted."""

    @property
    def counts(self) -> Counter[str]:
        return Counter(slot.endpoint.value for slot in self)

    @property
    def longest_wait(self) -> timedelta:
        return max((slot.wait for slot in self), default=timedelta(0))


@contextmanager
def watched_slots() -> Iterator[GrantedSlots]:
    """Record the slots that are granted in the block, to every service of this process."""
    granted, take_slot = GrantedSlots(), quota.take_slot

    async def take_and_record(
        session: object, endpoint: Endpoint, policy: RateLimitPolicy, **options: object
    ) -> QuotaSlot:
        slot = await take_slot(session, endpoint, policy, **options)  # type: ignore[arg-type]
        if slot.granted:
            granted.append(GrantedSlot(endpoint=endpoint, wait=slot.wait))
        return slot

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quota, "take_slot", take_and_record)
        yield granted


async def set_row(running: Running, endpoint: Endpoint, **seconds_from_now: float | None) -> None:
    """Set `next_at` or `closed_until` of a quota, in seconds from now by the database's clock."""
    insert = (postgresql if running.db.engines[0].dialect.name == "postgresql" else sqlite).insert(RequestQuota)
    values = {name: None if at is None else FromNow(at) for name, at in seconds_from_now.items()}
    async with running.db.transaction() as session:
        new = insert.values(name=endpoint, next_at=FromNow(), failures=0).on_conflict_do_nothing()
        await session.execute(new)
        changed = update(RequestQuota).where(col(RequestQuota.name) == endpoint).values(**values)
        await session.execute(changed, execution_options={"synchronize_session": False})


@asynccontextmanager
async def users_booked_ahead(running: Running, seconds: float) -> AsyncGenerator[GrantedSlots]:
    """Book all endpoints for some seconds: until then, only the users' lane gets slots."""
    for endpoint in Endpoint:
        await set_row(running, endpoint, next_at=seconds)
    with watched_slots() as granted:
        yield granted
