"""Sealed tokens that do not open: the account says so, works again once it is connected again, and can be given up."""

import os
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretBytes
from sqlalchemy import update
from sqlmodel import col

from tests.connecting import flows, stored
from tests.connecting.tokens import expire_access_token
from tests.support.server import Api, serving
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import Account, TokenPair
from tiktok_accounts_gql.doctor.checks import run_checks
from tiktok_accounts_gql.errors import AuthorizationStateInvalid
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.callbacks import Callback
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.wiring import Running, open_services

ACCOUNT = """
query Account($id: ID!) {
  account(id: $id) { status lastError tokenExpiresAt reauthorizeBy health { state reason action nextRetryAt } }
}
"""
SYNC = """
mutation Sync($id: ID!) {
  syncAccount(input: { id: $id }) { success account { status health { reason } } userErrors { code message } }
}
"""
DISCONNECT = (
    "mutation D($id: ID!) { disconnectAccount(input: { id: $id }) { disconnectedAccountId userErrors { code } } }"
)
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "one byte": lambda sealed: sealed[:1],
    "cut off in its key id": lambda sealed: sealed[:3],
    "cut off in its nonce": lambda sealed: sealed[:9],
    "no text": lambda sealed: sealed[:17],
    "cut off in its tag": lambda sealed: sealed[:-1],
    "a bit": lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]),
    "another version": lambda sealed: b"\x02" + sealed[1:],
    "another key": lambda sealed: sealed[:1] + b"lost" + sealed[5:],
    "zeros": lambda sealed: bytes(len(sealed)),
    "text": lambda _: b"act.in-clear",
}
EVERY_DAMAGE = pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)


async def spoil(running: Running, account: Account, damage: Callable[[bytes], bytes], *columns: str) -> None:
    async with running.db.transaction() as session:
        [pair] = await stored.sealed_pairs(running, account.viewer_id)
        values = {name: damage(getattr(pair, name)) for name in columns}
        await session.execute(update(TokenPair).where(col(TokenPair.account_id) == account.id).values(**values))


def node_id(account: Account) -> str:
    return ids.encode(ids.NodeKind.ACCOUNT, account.id)


async def says_so(api: Api, running: Running, account: Account) -> None:
    payload = (await api.data(SYNC, id=node_id(account)))["syncAccount"]
    assert (payload["success"], payload["account"]["health"]["reason"]) == (False, "TOKENS_UNREADABLE")
    assert payload["userErrors"] == [
        {
            "code": "REAUTHORIZATION_REQUIRED",
            "message": "The stored tokens of this account cannot be opened. Connect the account again.",
        }
    ]
    shown = (await api.data(ACCOUNT, id=node_id(account)))["account"]
    assert shown["health"] == {
        "state": "BROKEN",
        "reason": "TOKENS_UNREADABLE",
        "action": "RECONNECT",
        "nextRetryAt": None,
    }
    assert (shown["status"], shown["tokenExpiresAt"], shown["reauthorizeBy"]) == ("EXPIRED", None, None)
    [kept] = await stored.accounts(running, api.viewer)
    assert (kept.status, kept.health_reason) == ("EXPIRED", "TOKENS_UNREADABLE")


async def gives_it_up(api: Api, running: Running, account: Account) -> None:
    answer = (await api.data(DISCONNECT, id=node_id(account)))["disconnectAccount"]
    assert answer == {"disconnectedAccountId": node_id(account), "userErrors": []}
    assert await stored.sealed_pairs(running, api.viewer) == []
    last = (await stored.events(running, api.viewer))[-1]
    assert last.action == "ACCOUNT_DISCONNECTED"
    assert "notRevoked" in {detail["name"] for detail in last.details}


@EVERY_DAMAGE
async def test_an_access_token_that_does_not_open_is_said_and_the_account_can_be_given_up(
    api: Api, tiktok: TikTok, running: Running, damage: Callable[[bytes], bytes]
) -> None:
    account = await tiktok.connect(api.viewer)
    await spoil(running, account, damage, "access_token", "refresh_token")
    before = tiktok.user_infos(account.open_id)
    await says_so(api, running, account)
    assert tiktok.user_infos(account.open_id) == before
    await gives_it_up(api, running, account)
    assert tiktok.revocations(account.open_id) == 0


@pytest.mark.parametrize("damage", [DAMAGE["empty"], DAMAGE["cut off in its nonce"], DAMAGE["a bit"]])
async def test_a_refresh_token_that_does_not_open_is_said_when_it_is_needed(
    api: Api, tiktok: TikTok, running: Running, damage: Callable[[bytes], bytes]
) -> None:
    account = await tiktok.connect(api.viewer)
    await spoil(running, account, damage, "refresh_token")
    assert (await api.data(SYNC, id=node_id(account)))["syncAccount"]["success"]
    await expire_access_token(running, tiktok, account)
    await says_so(api, running, account)
    assert tiktok.refreshes(account.open_id) == 0
    [pair] = await stored.sealed_pairs(running, api.viewer)
    assert (pair.lease_id, pair.lease_until, pair.attempted_at) == (None, None, None)
    assert "TOKEN_REFRESH_FAILED" in await stored.actions(running, api.viewer)


@pytest.mark.parametrize("spoiled", ["access_token", "refresh_token"])
async def test_what_still_opens_is_revoked(api: Api, tiktok: TikTok, running: Running, spoiled: str) -> None:
    account = await tiktok.connect(api.viewer)
    await spoil(running, account, DAMAGE["a bit"], spoiled)
    await api.data(DISCONNECT, id=node_id(account))
    for _ in range(100):
        if tiktok.revoked(account.open_id):
            break
        await running.revocations.process_due()
    assert tiktok.revoked(account.open_id)


async def test_the_token_before_is_no_matter(tiktok: TikTok, running: Running, viewer: str) -> None:
    account = await tiktok.connect(viewer)
    for _ in range(2):
        await expire_access_token(running, tiktok, account)
        assert (await running.services.syncing.sync(Viewer(id=viewer), account.id)).error is None
    await spoil(running, account, DAMAGE["empty"], "previous_refresh_token")
    tiktok.sandbox.state.revoke_grant(account.open_id)
    assert (await running.services.syncing.sync(Viewer(id=viewer), account.id)).error is not None
    [kept] = await stored.accounts(running, viewer)
    assert kept.health_reason == "TOKEN_EXPIRED"


async def test_connecting_again_heals_it(api: Api, tiktok: TikTok, running: Running, settings: Settings) -> None:
    account = await tiktok.connect(api.viewer)
    await spoil(running, account, DAMAGE["zeros"], "access_token", "refresh_token")
    await says_so(api, running, account)
    answer = await flows.connect(api, await flows.authorize(api, account.open_id, accountId=node_id(account)))
    assert (flows.error_codes(answer), answer["reconnected"]) == ([], True)
    assert answer["account"]["health"]["state"] == "HEALTHY"
    assert (await api.data(SYNC, id=node_id(account)))["syncAccount"]["success"]
    assert (await stored.pair(running, settings, account)).access_token


async def test_a_broken_account_stops_no_renewal_behind_it(tiktok: TikTok, running: Running, viewer: str) -> None:
    broken, well = await tiktok.connect(viewer), await tiktok.connect(f"well-{viewer}")
    await spoil(running, broken, DAMAGE["a bit"], "refresh_token")
    soon = utc_now() + timedelta(days=1)
    async with running.db.transaction() as session:
        for number, account in enumerate((broken, well)):
            of_account = update(Account).where(col(Account.id) == account.id)
            await session.execute(of_account.values(reauthorize_by=soon + timedelta(seconds=number)))
            issued = update(TokenPair).where(col(TokenPair.account_id) == account.id)
            await session.execute(issued.values(issued_at=account.created_at - timedelta(days=3)))
    await running.tokens.refresh_expiring()
    assert (tiktok.refreshes(broken.open_id), tiktok.refreshes(well.open_id)) == (0, 1)
    [kept] = await stored.accounts(running, viewer)
    assert kept.health_reason == "TOKENS_UNREADABLE"


# A key that is lost


@pytest_asyncio.fixture
async def keyless(tiktok: TikTok, own_settings: Settings) -> AsyncGenerator[tuple[Api, TikTok, Settings]]:
    """A server whose only key is a new one, on a database that it sealed nothing of."""
    lost = own_settings.model_copy(update={"encryption_keys": (SecretBytes(os.urandom(32)),)})
    async with open_services(own_settings) as before:
        own = TikTok(sandbox=tiktok.sandbox, settings=own_settings, running=before)
        async with serving(lost) as url, httpx.AsyncClient(base_url=url, verify=get_ssl_context()) as http:
            yield Api(http=http, settings=lost, viewer="ann"), own, lost


async def test_without_its_key_an_account_is_broken_counted_and_can_be_given_up(
    keyless: tuple[Api, TikTok, Settings],
) -> None:
    api, tiktok, lost = keyless
    accounts = [await tiktok.connect("ann") for _ in range(3)]
    for account in accounts[:1]:
        payload = (await api.data(SYNC, id=node_id(account)))["syncAccount"]
        assert payload["account"]["health"]["reason"] == "TOKENS_UNREADABLE"
    [keys] = [check.finding for check in await run_checks(lost) if check.name == "Encryption keys"]
    assert keys.state == "failed"
    assert "token_pairs.access_token (3)" in keys.message
    assert "3 accounts must be connected again" in str(keys.fix)
    metrics = (await api.http.get("/metrics")).text
    assert 'accounts_sealed_values_unreadable_total{column="access_token",table="token_pairs"} 1.0' in metrics
    await api.data(DISCONNECT, id=node_id(accounts[0]))
    [*left] = await stored.sealed_pairs(tiktok.running, "ann")
    assert {pair.account_id for pair in left} == {account.id for account in accounts[1:]}


async def test_a_key_that_comes_back_heals_it_without_the_user(keyless: tuple[Api, TikTok, Settings]) -> None:
    api, tiktok, _ = keyless
    account = await tiktok.connect("ann")
    await says_so(api, tiktok.running, account)
    assert (await tiktok.running.services.syncing.sync(Viewer(id="ann"), account.id)).error is None
    [kept] = await stored.accounts(tiktok.running, "ann")
    assert (kept.status, kept.health_state, kept.last_error) == ("ACTIVE", "HEALTHY", None)
    shown = (await api.data(ACCOUNT, id=node_id(account)))["account"]
    assert shown["tokenExpiresAt"] is not None
    assert shown["reauthorizeBy"] is not None


async def test_an_authorization_whose_verifier_does_not_open_begins_anew(
    own_settings: Settings, tiktok: TikTok, viewer: str
) -> None:
    desktop = own_settings.model_copy(update={"tiktok_login_platform": "desktop"})
    lost = desktop.model_copy(update={"encryption_keys": (SecretBytes(os.urandom(32)),)})
    async with open_services(desktop) as began, open_services(lost) as ended:
        begun = await began.services.authorizations.start(Viewer(id=viewer), return_to=None, account_id=None)
        callback = Callback(state=flows.parse_query(begun.authorization_url)["state"], code="any")
        with pytest.raises(AuthorizationStateInvalid):
            await flows.confirm_in_process(ended, begun.authorization_url)
        await flows.confirm_in_process(began, begun.authorization_url)
        for running in (ended, began):  # the same call again finds the outcome
            finished = await running.services.authorizations.finish(callback, browser=flows.BROWSER)
            assert finished.error is not None
            assert finished.error.code == "AUTHORIZATION_STATE_INVALID"


# What an account that is not ACTIVE shows


LIST = "{ accounts { edges { node { status tokenExpiresAt reauthorizeBy } } } }"
ONE = "query One($id: ID!) { account(id: $id) { reauthorizeBy tokenExpiresAt } }"


@pytest.mark.parametrize("status", ["ACTIVE", "EXPIRED", "INACTIVE"])
async def test_only_an_active_account_shows_expiries(api: Api, running: Running, tiktok: TikTok, status: str) -> None:
    """Also of rows that are older than this rule."""
    account = await tiktok.connect(api.viewer)
    async with running.db.transaction() as session:
        await session.execute(update(Account).where(col(Account.id) == account.id).values(status=status))
    [edge] = (await api.data(LIST))["accounts"]["edges"]
    one = (await api.data(ONE, id=node_id(account)))["account"]
    unnamed = (await api.data(f'{{ node(id: "{node_id(account)}") {{ ... on TikTokAccount {{ tokenExpiresAt }} }} }}'))[
        "node"
    ]
    shown: list[Any] = [edge["node"]["tokenExpiresAt"], edge["node"]["reauthorizeBy"], *one.values(), *unnamed.values()]
    assert [value is None for value in shown] == [status != "ACTIVE"] * 5


async def test_an_account_that_expires_shows_none_from_then_on(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.sandbox.state.revoke_grant(account.open_id)
    assert not (await api.data(SYNC, id=node_id(account)))["syncAccount"]["success"]
    shown = (await api.data(ACCOUNT, id=node_id(account)))["account"]
    assert (shown["status"], shown["tokenExpiresAt"], shown["reauthorizeBy"]) == ("EXPIRED", None, None)
