"""Consents to one account that come between each other's steps: TikTok ends the earlier grant, wherever it is stored."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.connecting import stored
from tests.support.tapping import Wire, tapped
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.errors import ConnectedElsewhere
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running, open_services

Step = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Slow:
    """A viewer's server whose readings of accounts arrive late: `between` happens first, a step for each reading."""

    tiktok: TikTok
    between: list[Step] = field(default_factory=list)

    async def hold(self, data: bytes) -> bytes:
        is_reading = b'"log_id"' in data and b'"access_token"' not in data
        if is_reading and self.between:
            await self.between.pop(0)()
        return data


@pytest.fixture
def open_id() -> str:
    return f"user-{uuid4().hex}"


@pytest_asyncio.fixture
async def slow(tiktok: TikTok, settings: Settings) -> AsyncGenerator[Slow]:
    wire: Wire
    async with tapped(settings.tiktok_api_url) as wire:
        own = settings.model_copy(update={"tiktok_api_url": wire.url})
        async with open_services(own) as running:
            slow = Slow(TikTok(sandbox=tiktok.sandbox, settings=own, running=running))
            wire.on_reply = slow.hold
            yield slow


async def holds_what_tiktok_accepts(tiktok: TikTok, settings: Settings, account: Account) -> bool:
    grant = tiktok.sandbox.state.find_grant(account.open_id)
    assert grant is not None
    pair = await stored.pair(tiktok.running, settings, account)
    return pair == stored.Pair(access_token=grant.access_token, refresh_token=grant.refresh_token)


@pytest.mark.parametrize("connected_before", [False, True])
async def test_of_one_viewers_two_consents_the_later_is_kept_though_it_was_stored_first(
    slow: Slow, tiktok: TikTok, settings: Settings, viewer: str, open_id: str, *, connected_before: bool
) -> None:
    if connected_before:
        await tiktok.connect(viewer, open_id)
    slow.between = [lambda: tiktok.connect(viewer, open_id)]
    account = await slow.tiktok.connect(viewer, open_id)
    assert slow.between == []
    assert len(await stored.accounts(tiktok.running, viewer)) == 1
    assert await holds_what_tiktok_accepts(tiktok, settings, account)
    assert (await tiktok.running.services.syncing.sync(Viewer(id=viewer), account.id)).error is None


async def test_the_later_consent_is_kept_if_the_earlier_is_stored_while_it_is_read(
    slow: Slow, tiktok: TikTok, settings: Settings, viewer: str, open_id: str
) -> None:
    earlier_is_read, later_is_read = asyncio.Event(), asyncio.Event()

    async def wait_for_the_later() -> None:
        earlier_is_read.set()
        await later_is_read.wait()

    async def let_the_earlier_end() -> None:
        later_is_read.set()
        await earlier

    slow.between = [wait_for_the_later, let_the_earlier_end]
    earlier = asyncio.create_task(slow.tiktok.connect(viewer, open_id))
    await earlier_is_read.wait()
    account = await slow.tiktok.connect(viewer, open_id)
    assert (await earlier).id == account.id
    assert await holds_what_tiktok_accepts(tiktok, settings, account)


async def test_a_third_viewer_who_came_between_has_it(
    slow: Slow, tiktok: TikTok, running: Running, settings: Settings, viewer: str, open_id: str
) -> None:
    """I connect it a second time, leave it, and somebody else connects it, all before my first call has ended."""
    other = f"another-{viewer}"
    theirs: list[Account] = []

    async def connect_again() -> None:
        await tiktok.connect(viewer, open_id)

    async def leave_it_to_another() -> None:
        [mine] = await stored.accounts(running, viewer)
        await running.services.accounts.disconnect(Viewer(id=viewer), mine.id, None)
        theirs.append(await tiktok.connect(other, open_id))

    slow.between = [connect_again, leave_it_to_another]
    with pytest.raises(ConnectedElsewhere):
        await slow.tiktok.connect(viewer, open_id)
    [mine] = await stored.accounts(running, viewer)
    assert mine.disconnected_at is not None
    assert await holds_what_tiktok_accepts(tiktok, settings, theirs[0])
