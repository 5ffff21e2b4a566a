"""A process that is killed in the middle of a refresh, at each of four points. `make test-slow` kills 50 times at each.

Only the crash between TikTok's answer and our commit may end in EXPIRED, which `health` shows and the audit explains.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from tests.connecting.tokens import expire_access_token, is_issued_token
from tests.support.renewing import Renewer, renewer
from tests.support.tapping import Wire, tapped
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.models import Account, AuditEvent, TokenPair
from tiktok_accounts_gql.errors import ReauthorizationRequired
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.errors import RefreshPending
from tiktok_accounts_gql.wiring import Running

pytestmark = pytest.mark.proof

KILLS = int(os.environ.get("TEST_KILLS", "1"))


@dataclass(kw_only=True)
class Scene:
    running: Running
    account: Account
    process: Renewer
    wire: Wire
    killed: asyncio.Event = field(default_factory=asyncio.Event)

    async def kill(self) -> None:
        await self.process.kill()
        self.killed.set()


def before_the_request(scene: Scene) -> None:
    """The lease and the attempt are committed; nothing reaches TikTok."""

    async def tap(data: bytes) -> bytes:
        del data
        await scene.kill()
        return b""

    scene.wire.on_request = tap


def after_the_request(scene: Scene) -> None:
    """TikTok has rotated; its answer reaches nobody."""

    async def tap(data: bytes) -> bytes:
        del data
        await scene.kill()
        return b""

    scene.wire.on_reply = tap


def after_the_reply(scene: Scene) -> None:
    """The answer is there; the commit has to wait for a lock that a test holds."""

    async def tap(data: bytes) -> bytes:
        scene.wire.on_reply = untapped
        asyncio.get_running_loop().create_task(kill_while_locked(scene))
        await asyncio.sleep(0.1)
        return data

    scene.wire.on_reply = tap


async def untapped(data: bytes) -> bytes:
    return data


async def kill_while_locked(scene: Scene) -> None:
    async with scene.running.db.transaction() as session:
        await accounts.get(session, scene.account.viewer_id, scene.account.id, lock=True)
        await asyncio.sleep(0.4)
        await scene.kill()


def after_the_commit(scene: Scene) -> None:
    """The token is there for everybody."""

    async def wait() -> None:
        await scene.process.answer()
        await scene.kill()

    scene.wire.on_reply = untapped
    asyncio.get_running_loop().create_task(wait())


POINTS: dict[Callable[[Scene], None], bool] = {
    before_the_request: False,
    after_the_request: True,
    after_the_reply: True,
    after_the_commit: False,
}


@pytest.mark.parametrize(("point", "may_expire"), POINTS.items(), ids=lambda one: getattr(one, "__name__", ""))
@pytest.mark.parametrize("number", range(KILLS))
async def test_no_account_is_silently_dead(
    running: Running,
    tiktok: TikTok,
    settings: Settings,
    viewer: str,
    point: Callable[[Scene], None],
    number: int,
    *,
    may_expire: bool,
) -> None:
    account = await tiktok.connect(viewer)
    await expire_access_token(running, tiktok, account)
    async with tapped(settings.tiktok_api_url) as wire:
        child = settings.model_copy(update={"tiktok_api_url": wire.url})
        async with renewer(child) as process:
            scene = Scene(running=running, account=account, process=process, wire=wire)
            point(scene)
            await process.send(account)
            await asyncio.wait_for(scene.killed.wait(), 30)
    if number or point is not before_the_request:
        await end_lease(running, account)  # one of them waits for it, the others save the time
    await healed_or_told(running, tiktok, account, may_expire=may_expire)


async def end_lease(running: Running, account: Account) -> None:
    async with running.db.transaction() as session:
        pair = update(TokenPair).where(col(TokenPair.account_id) == account.id)
        await session.execute(pair.where(col(TokenPair.lease_id).is_not(None)).values(lease_until=account.created_at))


async def end_grace(running: Running, account: Account) -> None:
    """That the dead holder gets, who might have been alive."""
    async with running.db.transaction() as session:
        pair = update(TokenPair).where(col(TokenPair.account_id) == account.id)
        await session.execute(pair.values(lease_until=account.created_at))


async def healed_or_told(running: Running, tiktok: TikTok, account: Account, *, may_expire: bool) -> None:
    viewer = Viewer(id=account.viewer_id)
    try:
        try:
            token = await running.tokens.get_access_token(viewer, account.id)
        except RefreshPending:
            assert (await stored(running, account)).status == "ACTIVE"
            await end_grace(running, account)
            token = await running.tokens.get_access_token(viewer, account.id)
    except ReauthorizationRequired:
        assert may_expire
        await told(running, account)
    else:
        assert is_issued_token(tiktok, account, token)
        assert (await stored(running, account)).health_state == "HEALTHY"


async def told(running: Running, account: Account) -> None:
    stored_account = await stored(running, account)
    assert (stored_account.status, stored_account.health_reason, stored_account.health_action) == (
        "EXPIRED",
        "TOKEN_EXPIRED",
        "RECONNECT",
    )
    failed = select(AuditEvent).where(col(AuditEvent.account_id) == account.id)
    async with running.db.read() as session:
        events = (await session.scalars(failed.where(col(AuditEvent.action) == "TOKEN_REFRESH_FAILED"))).all()
    assert len(events) == 1
    assert "earlierOutcomeUnknown" in {detail["name"] for detail in events[0].details}


async def stored(running: Running, account: Account) -> Account:
    async with running.db.read() as session:
        return await accounts.get(session, account.viewer_id, account.id)
