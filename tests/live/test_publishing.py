"""What is published: every change that a subscriber matches to know of, if it commits."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.errors import ConnectedElsewhere
from tiktok_accounts_gql.events import AccountChanged, ChangeKind, Event, EventSubscription, Resync
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running

CONNECTED, UPDATED, DISCONNECTED = ChangeKind


def any_event(event: Event) -> bool:
    return event is not None


@pytest_asyncio.fixture(scope="module", autouse=True)
async def listening(running: Running, backend: str) -> AsyncGenerator[None]:
    with running.hub.subscribe("nobody", matches=any_event) as subscription:
        task = asyncio.create_task(running.notifications.listen())
        if backend == "postgresql":
            assert isinstance(await anext(subscription), Resync)  # what was before it heard anything
        yield
        task.cancel()


async def heard(subscription: EventSubscription, account: Account) -> ChangeKind:
    event = await asyncio.wait_for(anext(subscription), 5)
    assert isinstance(event, AccountChanged)
    assert event.account_id == account.id
    return event.kind


@pytest.mark.parametrize("again", ["connected", "disconnected"])
async def test_connecting(running: Running, tiktok: TikTok, viewer: str, again: str) -> None:
    with running.hub.subscribe(viewer, matches=any_event) as subscription:
        account = await tiktok.connect(viewer)
        assert await heard(subscription, account) is CONNECTED
        if again == "disconnected":
            await running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
            assert await heard(subscription, account) is DISCONNECTED
        await tiktok.connect(viewer, account.open_id)
        assert await heard(subscription, account) is (UPDATED if again == "connected" else CONNECTED)


async def test_a_sync_that_worked_and_one_that_failed(running: Running, tiktok: TikTok, viewer: str) -> None:
    with running.hub.subscribe(viewer, matches=any_event) as subscription:
        account = await tiktok.connect(viewer)
        assert await heard(subscription, account) is CONNECTED
        for fails in (False, True):
            if fails:
                tiktok.fail(USER_INFO_PATH, account, status=503)
            await running.services.syncing.sync(Viewer(id=viewer), account.id)
            assert await heard(subscription, account) is UPDATED


async def test_an_authorization_that_tiktok_ended(running: Running, tiktok: TikTok, viewer: str) -> None:
    with running.hub.subscribe(viewer, matches=any_event) as subscription:
        account = await tiktok.connect(viewer)
        assert await heard(subscription, account) is CONNECTED
        for _ in range(2):
            await running.services.removals.remove(account.open_id, 1, datetime.now(UTC))
        assert await heard(subscription, account) is UPDATED
        with suppress(TimeoutError):
            raise AssertionError(await asyncio.wait_for(anext(subscription), 0.3))  # the second one changed nothing


async def test_an_authorization_that_ran_out(running: Running, tiktok: TikTok, viewer: str) -> None:
    with running.hub.subscribe(viewer, matches=any_event) as subscription:
        account = await tiktok.connect(viewer)
        assert await heard(subscription, account) is CONNECTED
        tiktok.sandbox.state.revoke_grant(account.open_id)
        synced = await running.services.syncing.sync(Viewer(id=viewer), account.id)
        assert synced.account.status == "EXPIRED"
        assert await heard(subscription, account) is UPDATED


async def test_a_grant_that_is_handed_over_to_its_owner(running: Running, tiktok: TikTok, viewer: str) -> None:
    with running.hub.subscribe(viewer, matches=any_event) as subscription:
        account = await tiktok.connect(viewer)
        assert await heard(subscription, account) is CONNECTED
        with pytest.raises(ConnectedElsewhere):
            await tiktok.connect(f"stranger-{uuid4().hex}", account.open_id)
        assert await heard(subscription, account) is UPDATED


async def test_what_is_rolled_back_is_not_told(running: Running, viewer: str) -> None:
    with running.hub.subscribe(viewer, matches=any_event) as subscription:
        undone, done = [await publish(running, viewer, commit=commit) for commit in (False, True)]
        assert undone != done
        assert await asyncio.wait_for(anext(subscription), 5) == done


async def test_the_longest_of_viewers_fits_into_a_message(running: Running) -> None:
    viewer = "\U0001f469" * 255
    with running.hub.subscribe(viewer, matches=any_event) as subscription:
        event = await publish(running, viewer, commit=True)
        assert await asyncio.wait_for(anext(subscription), 5) == event


async def publish(running: Running, viewer: str, *, commit: bool) -> AccountChanged:
    event = AccountChanged(account_id=uuid4(), kind=UPDATED)
    with suppress(ZeroDivisionError):
        async with running.db.transaction() as session:
            running.notifications.publish(session, viewer, event)
            if not commit:
                raise ZeroDivisionError
    return event


async def test_who_leaves_in_the_middle_of_a_commit_takes_no_event_along(
    running: Running, tiktok: TikTok, viewer: str
) -> None:
    """Whatever became of the commit, what is told is the same."""
    committed = 0
    for number in range(30):
        account = await tiktok.connect(viewer)
        with running.hub.subscribe(viewer, matches=any_event) as subscription:
            leaving = asyncio.create_task(running.services.accounts.disconnect(Viewer(id=viewer), account.id, None))
            await asyncio.sleep(number / 2_000)
            leaving.cancel()
            await asyncio.wait([leaving])
            async with running.db.read() as session:
                now = await session.get(Account, account.id)
            assert now is not None
            if now.disconnected_at is None:
                continue
            committed += 1
            while await heard(subscription, account) is not DISCONNECTED:
                pass
    assert committed
