"""Mutation.disconnectAccount"""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlmodel import SQLModel, col

from tests.support.account_operations import DISCONNECT, disconnect_account, to_global_id
from tests.support.server import Api
from tests.support.tiktok import TikTok
from tests.support.waiting import until
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import Account, AuditEvent, PendingRevocation, Snapshot, TokenPair
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH
from tiktok_accounts_gql.wiring import Running, open_services

EVERYWHERE = """
query Everywhere($id: ID!) {
  node(id: $id) { id }
  nodes(ids: [$id]) { id }
  account(id: $id) { id }
  accounts { totalCount edges { node { id } } }
  accountsSummary { totalAccounts }
  auditEvents(filter: { accountId: $id, changesOnly: true }) { edges { node { action accountId account { id } } } }
}
"""
REVOKE = "/v2/oauth/revoke/"


async def rows(running: Running, model: type[SQLModel], account: Account) -> list[Any]:
    async with running.db.read() as session:
        return list(await session.scalars(select(model).where(col(model.account_id) == account.id)))  # type: ignore[attr-defined]


async def owed_after_a_failure(tiktok: TikTok, running: Running, account: Account) -> PendingRevocation:
    """Once TikTok was asked, and the process that asked has let go of it."""

    async def is_released() -> bool:
        [row] = await rows(running, PendingRevocation, account)
        return tiktok.revocations(account.open_id) == 1 and row.lease_until is None

    await until(is_released)
    owed: list[PendingRevocation] = await rows(running, PendingRevocation, account)
    return owed[0]


async def settled(running: Running, account: Account) -> None:
    """Once TikTok was told, or has no more to be told."""

    async def owes_nothing() -> bool:
        return await rows(running, PendingRevocation, account) == []

    await until(owes_nothing)


async def test_a_disconnected_account_is_gone_from_every_answer(api: Api, tiktok: TikTok) -> None:
    account = await tiktok.connect(api.viewer)
    payload = await disconnect_account(api, account)
    assert payload["disconnectedAccountId"] == to_global_id(account)
    assert payload["query"]["accountsSummary"]["totalAccounts"] == 0
    seen = await api.data(EVERYWHERE, id=to_global_id(account))
    assert (seen["node"], seen["nodes"], seen["account"]) == (None, [None], None)
    assert seen["accounts"] == {"totalCount": 0, "edges": []}
    event = seen["auditEvents"]["edges"][0]["node"]
    assert event == {"action": "ACCOUNT_DISCONNECTED", "accountId": to_global_id(account), "account": None}


async def test_the_tokens_are_revoked_and_erased_and_the_rest_is_kept(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    account = await tiktok.connect(api.viewer)
    await disconnect_account(api, account)
    assert await rows(running, TokenPair, account) == []
    await settled(running, account)
    assert tiktok.revocations(account.open_id) == 1
    assert len(await rows(running, Snapshot, account)) == 1
    actions = [event.action for event in await rows(running, AuditEvent, account)]
    assert actions == ["ACCOUNT_CONNECTED", "ACCOUNT_DISCONNECTED"]


async def test_without_an_answer_of_tiktok_the_revocation_is_owed_and_settled_later(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.fail(REVOKE, account, status=503)
    payload = await disconnect_account(api, account)
    assert payload["userErrors"] == []
    assert await rows(running, TokenPair, account) == []
    owed = await owed_after_a_failure(tiktok, running, account)
    assert tiktok.revoked(account.open_id) is False
    await running.revocations.process(owed)
    assert tiktok.revoked(account.open_id) is True
    assert await rows(running, PendingRevocation, account) == []


async def test_an_expired_access_token_is_renewed_to_be_revoked(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.fail(REVOKE, account, status=503)
    await disconnect_account(api, account)
    owed = await owed_after_a_failure(tiktok, running, account)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    owed.access_token_expires_at = owed.next_attempt_at.replace(year=2020)
    await running.revocations.process(owed)
    assert tiktok.refreshes(account.open_id) == 1
    assert tiktok.revoked(account.open_id) is True
    assert await rows(running, PendingRevocation, account) == []


async def test_an_authorization_that_is_gone_already_is_no_debt(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.sandbox.state.revoke_grant(account.open_id)
    await disconnect_account(api, account)
    await settled(running, account)


async def test_the_second_time_there_is_nothing_to_disconnect(api: Api, tiktok: TikTok) -> None:
    account = await tiktok.connect(api.viewer)
    await disconnect_account(api, account)
    again = await disconnect_account(api, account)
    assert again["disconnectedAccountId"] is None
    assert again["userErrors"][0]["code"] == "NOT_FOUND"


async def test_with_the_same_key_the_second_call_answers_as_the_first(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    account = await tiktok.connect(api.viewer)
    first, second = await disconnect_account(api, account, "key"), await disconnect_account(api, account, "key")
    assert first == second
    actions = [event.action for event in await rows(running, AuditEvent, account)]
    assert sorted(actions) == ["ACCOUNT_CONNECTED", "ACCOUNT_DISCONNECTED", "MUTATION_REPEATED"]


async def test_the_same_key_at_the_same_time_disconnects_once(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    answers = await asyncio.gather(*[disconnect_account(api, account, "key") for _ in range(4)])
    assert all(answer == answers[0] and answer["userErrors"] == [] for answer in answers)
    actions = [event.action for event in await rows(running, AuditEvent, account)]
    assert actions.count("ACCOUNT_DISCONNECTED") == 1


async def test_a_key_with_another_input_is_refused(api: Api, tiktok: TikTok) -> None:
    one, other = await tiktok.connect(api.viewer), await tiktok.connect(api.viewer)
    await disconnect_account(api, one, "key")
    refused = await disconnect_account(api, other, "key")
    assert refused["userErrors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert refused["query"]["accountsSummary"]["totalAccounts"] == 1


async def test_a_failed_call_leaves_its_key_unused(api: Api, stranger: Api, tiktok: TikTok) -> None:
    theirs, mine = await tiktok.connect(stranger.viewer), await tiktok.connect(api.viewer)
    assert (await disconnect_account(api, theirs, "key"))["userErrors"][0]["code"] == "NOT_FOUND"
    assert (await disconnect_account(api, mine, "key"))["userErrors"] == []


async def test_an_empty_key_is_an_absent_one(api: Api, tiktok: TikTok) -> None:
    for account in [await tiktok.connect(api.viewer) for _ in range(2)]:
        assert (await disconnect_account(api, account, ""))["userErrors"] == []


@pytest.mark.parametrize("key", ["x" * 256, "a\u0000b", "a\nb"])
async def test_a_key_that_is_none_is_refused(api: Api, tiktok: TikTok, key: str) -> None:
    account = await tiktok.connect(api.viewer)
    refused = await disconnect_account(api, account, key)
    assert refused["userErrors"][0]["code"] == "INVALID_INPUT"
    assert refused["userErrors"][0]["field"] == ["input", "idempotencyKey"]


async def test_somebody_elses_account_is_not_found(api: Api, stranger: Api, tiktok: TikTok) -> None:
    account = await tiktok.connect(stranger.viewer)
    refused = await disconnect_account(api, account)
    unknown = await api.data(DISCONNECT, input={"id": ids.encode(ids.NodeKind.ACCOUNT, uuid4())})
    assert refused == unknown["disconnectAccount"]
    assert (await stranger.data(EVERYWHERE, id=to_global_id(account)))["account"] is not None


async def test_connected_again_it_is_the_same_account(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    await disconnect_account(api, account)
    again = await tiktok.connected(api.viewer, account.open_id)
    assert (again.reconnected, again.account.id) == (True, account.id)
    seen = await api.data(EVERYWHERE, id=to_global_id(account))
    assert seen["account"] == {"id": to_global_id(account)}
    assert len(await rows(running, Snapshot, account)) == 2


# TikTok is told beside the answer


async def owed(running: Running, account: Account) -> PendingRevocation:
    [row] = await rows(running, PendingRevocation, account)
    assert isinstance(row, PendingRevocation)
    return row


async def change_owed(running: Running, account: Account, **values: Any) -> None:
    async with running.db.transaction() as session:
        changed = update(PendingRevocation).where(col(PendingRevocation.account_id) == account.id).values(**values)
        await session.execute(changed)


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        (REVOKE, {"delay_seconds": 1.2, "passthrough": True}),
        (REVOKE, {"drip_seconds": 1.2}),
        (TOKEN_PATH, {"delay_seconds": 1.2, "passthrough": True}),
    ],
    ids=["slow", "dripping", "slow to renew first"],
)
async def test_the_answer_does_not_wait_for_tiktok(
    api: Api, tiktok: TikTok, running: Running, path: str, fault: dict[str, Any]
) -> None:
    account = await tiktok.connect(api.viewer)
    if path == TOKEN_PATH:
        tiktok.sandbox.state.expire_access_token(account.open_id)
        async with running.db.transaction() as session:
            worn = update(TokenPair).where(col(TokenPair.account_id) == account.id).values(expires_at=utc_now())
            await session.execute(worn)
    tiktok.fail(path, account, **fault)
    async with asyncio.timeout(1):
        assert (await disconnect_account(api, account))["userErrors"] == []
    if "drip_seconds" not in fault:  # then only the reply is slow
        assert tiktok.revocations(account.open_id) == 0
    assert await rows(running, TokenPair, account) == []
    await settled(running, account)
    assert tiktok.revoked(account.open_id)


async def test_many_disconnect_while_tiktok_is_slow_about_one_of_them(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    slow, *others = [await tiktok.connect(api.viewer) for _ in range(5)]
    tiktok.fail(REVOKE, slow, delay_seconds=1.5, passthrough=True)
    await disconnect_account(api, slow)
    for account in others:
        await disconnect_account(api, account)
    await until(lambda: all(tiktok.revoked(account.open_id) for account in others), seconds=1.3)
    assert not tiktok.revoked(slow.open_id)
    await settled(running, slow)


async def test_a_stop_waits_for_the_revocation_under_way(tiktok: TikTok, settings: Settings, viewer: str) -> None:
    account = await tiktok.connect(viewer)
    tiktok.fail(REVOKE, account, delay_seconds=0.6, passthrough=True)
    async with open_services(settings) as ending:
        await ending.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
        await until(
            lambda: all(queued.fault.open_id != account.open_id for queued in tiktok.sandbox.faults.list_active())
        )
        assert not tiktok.revoked(account.open_id)
    assert tiktok.revoked(account.open_id)
    assert await rows(tiktok.running, PendingRevocation, account) == []


async def test_after_a_crash_another_process_revokes_at_once(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    """The process died right after it had committed."""
    account = await tiktok.connect(viewer)
    async with open_services(settings) as crashing:
        await crashing.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
        for round_ in crashing.revocations.tasks:
            round_.cancel()
    assert not tiktok.revoked(account.open_id)
    assert (await owed(running, account)).next_attempt_at <= utc_now()
    await running.revocations.process_due()
    await settled(running, account)  # by this process, or by the server beside it
    assert tiktok.revoked(account.open_id)


async def test_two_processes_revoke_once(tiktok: TikTok, running: Running, settings: Settings, viewer: str) -> None:
    account = await tiktok.connect(viewer)
    tiktok.fail(REVOKE, account, delay_seconds=0.3, passthrough=True)
    await running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
    async with open_services(settings) as other:
        await asyncio.gather(*[one.revocations.process_due() for one in (other, running, other)])
    await settled(running, account)
    assert tiktok.revocations(account.open_id) == 1


async def test_one_that_cannot_be_revoked_stops_none_behind_it(tiktok: TikTok, running: Running, viewer: str) -> None:
    broken, behind = await tiktok.connect(viewer), await tiktok.connect(viewer)
    for account in (broken, behind):
        tiktok.fail(REVOKE, account, status=503)
        await running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
    await running.revocations.close()
    past = utc_now() - timedelta(days=1)
    await change_owed(running, broken, access_token=b"no seal", next_attempt_at=past)
    await change_owed(running, behind, next_attempt_at=past + timedelta(seconds=1))
    await running.revocations.process_due()
    await settled(running, behind)
    assert tiktok.revoked(behind.open_id)
    assert (await owed(running, broken)).next_attempt_at > utc_now()  # and is tried again then


async def test_an_access_token_that_only_we_take_for_good_is_renewed_to_be_revoked(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    await disconnect_account(api, account)
    await settled(running, account)
    assert tiktok.refreshes(account.open_id) == 1
    assert tiktok.revoked(account.open_id)


async def test_whoever_waited_for_a_slot_for_too_long_does_not_renew_a_second_time(
    tiktok: TikTok, running: Running, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    tiktok.fail(REVOKE, account, status=503)
    await running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
    await running.revocations.close()
    mine = await owed(running, account)
    mine.access_token_expires_at = utc_now() - timedelta(days=1)
    await change_owed(running, account, next_attempt_at=utc_now() + timedelta(minutes=2))  # another process claimed it
    await running.revocations.process(mine)
    assert tiktok.refreshes(account.open_id) == 0
    assert await rows(running, PendingRevocation, account) != []
