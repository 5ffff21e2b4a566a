"""Nothing is owed after a reconnection: revoking the old grant may end the new one."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from tests.connecting import stored
from tests.connecting.tokens import get_issued_pair
from tests.support.tiktok import TikTok
from tests.support.waiting import until
from tiktok_accounts_gql.db import revocations
from tiktok_accounts_gql.db.models import Account, PendingRevocation
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running, open_services

Whose = Callable[[str], str]
WHOSE: dict[str, Whose] = {"the same viewer": lambda viewer: viewer, "another viewer": lambda _: f"next-{uuid4().hex}"}


async def owed(running: Running, account: Account) -> list[PendingRevocation]:
    async with running.db.read() as session:
        rows = select(PendingRevocation).where(col(PendingRevocation.account_id) == account.id)
        return list(await session.scalars(rows))


async def given_up(tiktok: TikTok, viewer: str) -> Account:
    """Here, and not yet at TikTok."""
    account = await tiktok.connect(viewer)
    tiktok.fail(REVOKE_PATH, account, status=503)
    await tiktok.running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)

    async def failed_once() -> bool:
        [row] = await owed(tiktok.running, account)
        return tiktok.revocations(account.open_id) == 1 and row.lease_until is None

    await until(failed_once)
    return account


async def make_due(running: Running, account: Account) -> None:
    async with running.db.transaction() as session:
        due = update(PendingRevocation).where(col(PendingRevocation.account_id) == account.id)
        await session.execute(due.values(next_attempt_at=account.created_at - timedelta(days=1)))


async def works(tiktok: TikTok, settings: Settings, account: Account) -> bool:
    """What is stored is what TikTok accepts."""
    return await stored.pair(tiktok.running, settings, account) == get_issued_pair(tiktok, account)


@pytest.mark.parametrize("whose", WHOSE.values(), ids=WHOSE)
async def test_nothing_is_owed_after_a_reconnection(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, whose: Whose
) -> None:
    old_account = await given_up(tiktok, viewer)
    account = await tiktok.connect(whose(viewer), old_account.open_id)
    assert await owed(running, old_account) == []
    await make_due(running, old_account)
    await running.revocations.process_due()
    assert tiktok.revocations(old_account.open_id) == 1  # the one that failed
    assert await works(tiktok, settings, account)


async def test_what_was_claimed_and_not_begun_is_not_carried_out(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    """Another process has it in hand, behind others."""
    old_account = await given_up(tiktok, viewer)
    [claimed] = await owed(running, old_account)
    account = await tiktok.connect(viewer, old_account.open_id)
    await running.revocations.process(claimed)
    assert tiktok.revocations(old_account.open_id) == 1
    assert await works(tiktok, settings, account)


async def test_none_begins_while_its_viewer_connects(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    """Of any account: before the exchange nobody knows which one it is."""
    old_account = await given_up(tiktok, viewer)
    [claimed] = await owed(running, old_account)
    await running.revocations.postpone(Viewer(id=viewer))
    await running.revocations.process(claimed)
    await running.revocations.process_due()
    assert tiktok.revocations(old_account.open_id) == 1
    assert len(await owed(running, old_account)) == 1


@pytest.mark.parametrize("whose", WHOSE.values(), ids=WHOSE)
async def test_a_revocation_under_way_in_another_process_is_waited_for(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, whose: Whose
) -> None:
    old_account = await given_up(tiktok, viewer)
    [row] = await owed(running, old_account)
    tiktok.fail(REVOKE_PATH, old_account, delay_seconds=0.8, passthrough=True)
    async with open_services(settings) as other:
        revoking = asyncio.create_task(other.revocations.process(row))
        async with asyncio.timeout(10):
            while (await owed(running, old_account))[0].lease_until is None:  # noqa: ASYNC110 - of a row
                await asyncio.sleep(0.01)
        account = await tiktok.connect(whose(viewer), old_account.open_id)
        assert revoking.done()
        await revoking
    assert await owed(running, old_account) == []
    if whose(viewer) == viewer:  # of somebody else's nobody knows before the exchange
        assert await works(tiktok, settings, account)
        assert (await running.services.syncing.sync(Viewer(id=viewer), account.id)).error is None


async def test_a_revocation_that_begins_between_reading_and_storing_is_waited_for(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    """Somebody else gives the account up in that moment."""
    first = await tiktok.connect(f"first-{viewer}")
    tiktok.fail(USER_INFO_PATH, first, delay_seconds=0.6, passthrough=True)
    connecting = asyncio.create_task(tiktok.connect(viewer, first.open_id))
    await asyncio.sleep(0.2)
    tiktok.fail(REVOKE_PATH, first, status=503)
    await running.services.accounts.disconnect(Viewer(id=first.viewer_id), first.id, None)
    account = await connecting
    assert await owed(running, first) == []
    assert await works(tiktok, settings, account)


async def test_the_lease_of_a_dead_process_ends(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    old_account = await given_up(tiktok, viewer)
    async with running.db.transaction() as session:
        [row] = await session.scalars(
            select(PendingRevocation).where(col(PendingRevocation.account_id) == old_account.id)
        )
        assert await revocations.acquire_lease(session, row, seconds=1)
    account = await tiktok.connect(viewer, old_account.open_id)
    assert await owed(running, old_account) == []
    assert await works(tiktok, settings, account)


async def test_a_grant_of_no_use_that_goes_to_its_account_owes_nothing_either(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    """Connected by one, given up by another before: whoever tries in vain leaves the newest grant to the first."""
    old_account = await given_up(tiktok, f"before-{viewer}")
    account = await tiktok.connect(viewer, old_account.open_id)
    with pytest.raises(Exception, match="Another user has connected"):
        await tiktok.connect(f"third-{viewer}", old_account.open_id)
    assert await owed(running, old_account) == []
    assert await works(tiktok, settings, account)


async def test_a_pair_that_comes_for_an_account_that_was_given_up_is_owed_until_tiktok_revokes_it(
    tiktok: TikTok, running: Running, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(TOKEN_PATH, account, delay_seconds=0.6, passthrough=True)
    syncing = asyncio.create_task(running.services.syncing.sync(Viewer(id=viewer), account.id))
    async with asyncio.timeout(10):
        while (await stored.sealed_pairs(running, viewer))[0].lease_id is None:  # noqa: ASYNC110 - of a row
            await asyncio.sleep(0.01)
    tiktok.fail(REVOKE_PATH, account, status=503, times=2)
    await running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
    await asyncio.gather(syncing, return_exceptions=True)
    await running.revocations.close()  # both are tried at once, beside their callers
    assert not tiktok.revoked(account.open_id)
    for row in await owed(running, account):
        await running.revocations.process(row)
    assert tiktok.revoked(account.open_id)
    assert await owed(running, account) == []
