"""Subscribers after a time in which nothing was heard: what changed is read together."""

import asyncio
from datetime import timedelta

from tests.support.rows import account, store
from tests.support.statements import counted_statements
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.wiring import Running

CHANGED = 100


async def test_a_hundred_changed_accounts_are_three_statements(running: Running, viewer: str) -> None:
    now = utc_now()
    stored = await store(running.db, *(account(viewer, number, updated_at=now) for number in range(CHANGED)))
    changes = running.services.subscriptions.watch_accounts(Viewer(id=viewer))
    first = asyncio.create_task(anext(changes))
    await asyncio.sleep(0)  # it has subscribed
    with counted_statements() as statements:
        running.hub.publish_resync(now - timedelta(seconds=1))
        told = [await first, *[await anext(changes) for _ in range(CHANGED - 1)]]
    await changes.aclose()
    assert {one.account_id for one in told} == {one.id for one in stored}
    assert all(one.account is not None for one in told)
    mine = [one for one in statements if "accounts" in one or "audit_events" in one]
    assert len(mine) == 3, mine
