"""Authorizations that end soon are renewed by themselves, once, whoever's they are."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.connecting import stored
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running, open_services

HALF_A_YEAR = timedelta(days=180)


@asynccontextmanager
async def before_the_end(settings: Settings, left: timedelta) -> AsyncGenerator[Running]:
    """Services at a time when so much of the authorization is left."""
    async with open_services(settings, clock=lambda: utc_now() + HALF_A_YEAR - left) as running:
        yield running


async def renew_all(running: Running) -> None:
    while await running.tokens.refresh_expiring():
        pass


async def actions(running: Running, account: Account) -> list[str]:
    return await stored.actions(running, account.viewer_id)


async def test_an_authorization_near_its_end_is_renewed_by_the_system(
    tiktok: TikTok, settings: Settings, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    async with before_the_end(settings, timedelta(days=13)) as running:
        await renew_all(running)
        [renewed] = await stored.accounts(running, viewer)
        [event] = [one for one in await stored.events(running, viewer) if one.action == "TOKEN_REFRESHED"]
    assert event.actor == "SYSTEM"
    assert account.reauthorize_by is not None
    assert renewed.reauthorize_by is not None
    assert renewed.reauthorize_by > account.reauthorize_by
    assert tiktok.refreshes(account.open_id) == 1


async def test_one_that_lasts_is_left_alone(tiktok: TikTok, settings: Settings, viewer: str) -> None:
    account = await tiktok.connect(viewer)
    async with before_the_end(settings, timedelta(days=15)) as running:
        await running.tokens.refresh_expiring()
    assert tiktok.refreshes(account.open_id) == 0


async def test_one_that_cannot_be_renewed_stops_no_other(tiktok: TikTok, settings: Settings, viewer: str) -> None:
    dead, alive = await tiktok.connect(viewer), await tiktok.connect(viewer)
    tiktok.sandbox.state.revoke_grant(dead.open_id)
    async with before_the_end(settings, timedelta(days=13)) as running:
        await renew_all(running)
        by_id = {account.id: account for account in await stored.accounts(running, viewer)}
    assert by_id[dead.id].status == "EXPIRED"
    assert by_id[alive.id].status == "ACTIVE"
    assert tiktok.refreshes(alive.open_id) == 1
