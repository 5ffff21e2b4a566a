"""Mutation.connectAccount"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.connecting import flows, stored
from tests.support.server import Api, serving
from tests.support.tiktok import TikTok
from tests.support.waiting import until
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.wiring import Running, open_services

ALL_SCOPES = ["user.info.basic", "user.info.profile", "user.info.stats"]
HEALTHY = {"state": "HEALTHY", "reason": None, "action": "NONE", "nextRetryAt": None, "consecutiveFailures": 0}
LIFE = """
query Life($id: ID!) {
  account(id: $id) { statsHistory { followerCount } createdAt connectedAt }
  auditEvents(filter: { accountId: $id, changesOnly: true }) { edges { node { action account { id } } } }
}
"""
DISCONNECT = "mutation D($id: ID!) { disconnectAccount(input: { id: $id }) { userErrors { code } } }"


@pytest.fixture
def open_id() -> str:
    return f"user-{uuid4().hex}"


def global_id(account: Account) -> str:
    return ids.encode(ids.NodeKind.ACCOUNT, account.id)


def exchanges(tiktok: TikTok) -> int:
    return len(tiktok.sandbox.state.list_calls(TOKEN_PATH, kind="authorization_code"))


async def nothing_is_stored(running: Running, viewer: str) -> bool:
    return not any((await stored.counts(running, viewer)).values())


async def syncs(running: Running, account: Account) -> bool:
    return (await running.services.syncing.sync(Viewer(id=account.viewer_id), account.id)).error is None


async def test_it_answers_with_the_account_that_is_connected_now(api: Api, running: Running, open_id: str) -> None:
    payload = await flows.connect(api, await flows.authorize(api, open_id))
    [account] = await stored.accounts(running, api.viewer)
    assert (payload["reconnected"], payload["userErrors"]) == (False, [])
    answered = payload["account"]
    assert (answered["id"], answered["displayName"]) == (global_id(account), account.display_name)
    assert (answered["status"], answered["lastError"], answered["health"]) == ("ACTIVE", None, HEALTHY)
    assert (answered["grantedScopes"], answered["missingScopes"]) == (ALL_SCOPES, [])
    assert answered["followerCount"] == account.follower_count
    assert await stored.actions(running, api.viewer) == ["AUTHORIZATION_STARTED", "ACCOUNT_CONNECTED"]


async def test_the_audit_knows_the_request(api: Api, running: Running, open_id: str) -> None:
    answer = await flows.authorize(api, open_id)
    response = await api.post(flows.CONNECT, {"input": answer})
    connected = (await stored.events(running, api.viewer))[-1]
    assert (connected.actor, connected.ip_address) == ("USER", "127.0.0.1")
    assert connected.request_id == response.headers["x-request-id"]


async def test_the_same_call_again_has_the_same_answer(
    api: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    answer, before = await flows.authorize(api, open_id), exchanges(tiktok)
    payloads = [await flows.connect(api, answer) for _ in range(3)]
    assert payloads[1:] == [payloads[0]] * 2
    assert exchanges(tiktok) - before == 1
    repeated = ["MUTATION_REPEATED"] * 2
    assert await stored.actions(running, api.viewer) == ["AUTHORIZATION_STARTED", "ACCOUNT_CONNECTED", *repeated]


async def test_a_reconnection_again_is_still_a_reconnection(api: Api, tiktok: TikTok, open_id: str) -> None:
    await tiktok.connect(api.viewer, open_id)
    answer = await flows.authorize(api, open_id)
    assert [(await flows.connect(api, answer))["reconnected"] for _ in range(2)] == [True, True]


async def test_calls_at_once_at_two_servers_exchange_once(
    api: Api, tiktok: TikTok, running: Running, settings: Settings, open_id: str
) -> None:
    answer, before = await flows.authorize(api, open_id), exchanges(tiktok)
    tiktok.sandbox.faults.add(Fault(path=TOKEN_PATH, delay_seconds=0.3, passthrough=True))
    async with serving(settings) as url, httpx.AsyncClient(base_url=url, verify=get_ssl_context(), timeout=30) as http:
        other = Api(http=http, settings=settings, viewer=api.viewer)
        payloads = await asyncio.gather(*[flows.connect(one, answer) for one in (api, other) * 4])
    assert payloads == [payloads[0]] * 8
    assert flows.error_codes(payloads[0]) == []
    assert exchanges(tiktok) - before == 1
    assert (await stored.counts(running, api.viewer))["snapshots"] == 1


async def test_the_callback_and_the_mutation_share_their_answer(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, open_id: str
) -> None:
    answer, before = await flows.authorize(api, open_id, returnTo=f"{flows.APP_ORIGIN}/"), exchanges(tiktok)
    response = await flows.send_callback(http, answer)
    payload = await flows.connect(api, answer)
    assert response.headers["location"] == f"{flows.APP_ORIGIN}/?accountId={payload['account']['id']}"
    assert exchanges(tiktok) - before == 1


async def test_somebody_elses_state_is_invalid_and_stays_good_for_its_owner(
    api: Api, stranger: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    answer, before = await flows.authorize(api, open_id), exchanges(tiktok)
    payload = await flows.connect(stranger, answer)
    unknown = await flows.connect(stranger, {"state": "unknown", "code": "c"})
    assert (flows.error_codes(payload), payload["account"]) == (["AUTHORIZATION_STATE_INVALID"], None)
    assert payload == unknown
    assert exchanges(tiktok) == before
    assert await nothing_is_stored(running, stranger.viewer)
    assert await stored.reasons(running, stranger.viewer) == ["AUTHORIZATION_STATE_INVALID"] * 2
    assert await stored.actions(running, api.viewer) == ["AUTHORIZATION_STARTED"]
    assert flows.error_codes(await flows.connect(api, answer)) == []


async def test_a_state_that_its_owner_used_tells_somebody_else_nothing(
    api: Api, stranger: Api, running: Running, open_id: str
) -> None:
    answer = await flows.authorize(api, open_id)
    await flows.connect(api, answer)
    payload = await flows.connect(stranger, answer)
    assert (flows.error_codes(payload), payload["account"]) == (["AUTHORIZATION_STATE_INVALID"], None)
    assert await nothing_is_stored(running, stranger.viewer)


@pytest.mark.parametrize(
    ("brought", "field"),
    [
        ({}, "code"),
        ({"code": "c", "error": "access_denied"}, "code"),
        ({"code": ""}, "code"),
        ({"error": ""}, "code"),
        ({"code": "", "error": ""}, "code"),
        ({"code": "c" * 4097}, "code"),
        ({"error": "e" * 4097}, "error"),
        ({"code": "c", "state": ""}, "state"),
        ({"code": "c", "state": "s" * 4097}, "state"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_tiktok_does_not_send_is_an_invalid_input(
    api: Api, running: Running, open_id: str, brought: Mapping[str, str], field: str
) -> None:
    answer = await flows.authorize(api, open_id)
    [error] = (await flows.connect(api, {"state": answer["state"], **brought}))["userErrors"]
    assert (error["code"], error["field"]) == ("INVALID_INPUT", ["input", field])
    assert await nothing_is_stored(running, api.viewer)
    assert (await stored.events(running, api.viewer))[-1].details[-1]["value"] == "INVALID_INPUT"
    assert flows.error_codes(await flows.connect(api, answer)) == []  # the state is still good


async def test_a_denial_uses_the_state_up(api: Api, running: Running, open_id: str) -> None:
    answer = await flows.authorize(api, open_id)
    denied = {"state": answer["state"], "error": "access_denied"}
    assert [flows.error_codes(await flows.connect(api, denied)) for _ in range(2)] == [["AUTHORIZATION_DENIED"]] * 2
    assert flows.error_codes(await flows.connect(api, answer)) == ["AUTHORIZATION_STATE_INVALID"]
    assert await nothing_is_stored(running, api.viewer)
    assert await stored.reasons(running, api.viewer) == ["AUTHORIZATION_DENIED", "AUTHORIZATION_STATE_INVALID"]


async def test_an_old_state_has_expired(api: Api, running: Running, settings: Settings, open_id: str) -> None:
    async with open_services(settings, clock=lambda: utc_now() - timedelta(minutes=11)) as earlier:
        begun = await earlier.services.authorizations.start(Viewer(id=api.viewer), return_to=None, account_id=None)
        link = await flows.confirm_in_process(earlier, begun.authorization_url)
    answer = await flows.give_consent(link, open_id)
    assert flows.error_codes(await flows.connect(api, answer)) == ["AUTHORIZATION_STATE_EXPIRED"]
    assert await nothing_is_stored(running, api.viewer)
    assert await stored.reasons(running, api.viewer) == ["AUTHORIZATION_STATE_EXPIRED"]


@pytest.mark.parametrize(
    ("fault", "code", "retry"),
    [
        ({"status": 400, "error": "invalid_grant"}, "AUTHORIZATION_CODE_INVALID", None),
        ({"status": 503}, "TIKTOK_UNAVAILABLE", 60),
        ({"drop": True}, "TIKTOK_UNAVAILABLE", 60),
        ({"status": 429, "error": "x", "headers": {"Retry-After": "77"}}, "TIKTOK_RATE_LIMITED", 77),
        ({"status": 401, "error": "unauthorized_client"}, "APP_MISCONFIGURED", None),
    ],
    ids=str,
)
async def test_a_failed_exchange_stores_nothing(
    api: Api, tiktok: TikTok, running: Running, open_id: str, fault: Mapping[str, Any], code: str, retry: int | None
) -> None:
    answer = await flows.authorize(api, open_id)
    tiktok.sandbox.faults.add(Fault(path=TOKEN_PATH, **fault))
    [error] = (await flows.connect(api, answer))["userErrors"]
    assert (error["code"], error["retryAfterSeconds"], error["field"]) == (code, retry, None)
    assert await nothing_is_stored(running, api.viewer)
    assert await stored.reasons(running, api.viewer) == [code]


async def test_another_account_than_the_one_to_reconnect_is_refused(
    api: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    mine = await tiktok.connect(api.viewer)
    payload = await flows.connect(api, await flows.authorize(api, open_id, accountId=global_id(mine)))
    assert (flows.error_codes(payload), payload["account"]) == (["WRONG_TIKTOK_ACCOUNT"], None)
    assert await stored.accounts(running, api.viewer) == [mine]
    assert tiktok.revoked(open_id)
    assert await syncs(running, mine)


async def test_what_another_user_connected_stays_theirs(
    api: Api, stranger: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    theirs = await tiktok.connect(stranger.viewer, open_id)
    payload = await flows.connect(api, await flows.authorize(api, open_id))
    assert (flows.error_codes(payload), payload["account"]) == (["ACCOUNT_CONNECTED_ELSEWHERE"], None)
    assert await nothing_is_stored(running, api.viewer)
    assert await syncs(running, theirs)


async def broken_by_tiktok(tiktok: TikTok, running: Running, account: Account) -> None:
    await running.services.removals.remove(account.open_id, 1, utc_now())


async def broken_by_a_renewal(tiktok: TikTok, running: Running, account: Account) -> None:
    tiktok.sandbox.state.revoke_grant(account.open_id)
    assert not await syncs(running, account)


async def failing(tiktok: TikTok, running: Running, account: Account) -> None:
    tiktok.fail(USER_INFO_PATH, account, status=503)
    assert not await syncs(running, account)


@pytest.mark.parametrize("break_it", [broken_by_tiktok, broken_by_a_renewal, failing])
async def test_reconnecting_brings_back_the_same_account_well_and_with_its_past(
    api: Api, tiktok: TikTok, running: Running, open_id: str, break_it: Callable[..., Any]
) -> None:
    first = await tiktok.connect(api.viewer, open_id)
    await break_it(tiktok, running, first)
    [before] = await stored.accounts(running, api.viewer)
    assert (before.health_state, before.last_error) != ("HEALTHY", None)
    payload = await flows.connect(api, await flows.authorize(api, open_id, accountId=global_id(first)))
    assert (payload["reconnected"], payload["userErrors"]) == (True, [])
    answered = payload["account"]
    assert answered["id"] == global_id(first)
    assert (answered["status"], answered["lastError"], answered["health"]) == ("ACTIVE", None, HEALTHY)
    life = await api.data(LIFE, id=global_id(first))
    assert len(life["account"]["statsHistory"]) >= 1
    assert life["account"]["createdAt"] < life["account"]["connectedAt"]
    actions = [edge["node"]["action"] for edge in life["auditEvents"]["edges"]]
    assert (actions[0], actions[-1]) == ("ACCOUNT_RECONNECTED", "ACCOUNT_CONNECTED")
    assert len(await stored.snapshots(running, api.viewer)) == 2
    assert await syncs(running, first)


async def test_a_disconnected_account_comes_back_by_its_id_with_its_past(
    api: Api, running: Running, open_id: str
) -> None:
    first = (await flows.connect(api, await flows.authorize(api, open_id)))["account"]
    await api.data(DISCONNECT, id=first["id"])
    payload = await flows.connect(api, await flows.authorize(api, open_id))
    assert (payload["reconnected"], payload["account"]) == (True, first)
    assert len(await stored.snapshots(running, api.viewer)) == 2


async def test_a_disconnected_account_cannot_be_asked_for(api: Api, tiktok: TikTok, open_id: str) -> None:
    account = await tiktok.connect(api.viewer, open_id)
    await api.data(DISCONNECT, id=global_id(account))
    assert flows.error_codes(await flows.start(api, accountId=global_id(account))) == ["NOT_FOUND"]


async def test_with_fewer_scopes_it_is_connected_and_says_what_is_missing(api: Api, open_id: str) -> None:
    answer = await flows.authorize(api, open_id, scopes="user.info.basic")
    account = (await flows.connect(api, answer))["account"]
    assert (account["status"], account["lastError"]) == ("ACTIVE", None)
    assert account["grantedScopes"] == ["user.info.basic"]
    assert account["missingScopes"] == ["user.info.profile", "user.info.stats"]
    counters = [account[name] for name in ("followerCount", "followingCount", "likesCount", "videoCount")]
    assert counters == [None] * 4
    degraded = {"state": "DEGRADED", "reason": "SCOPE_MISSING", "action": "GRANT_SCOPES"}
    assert account["health"] == {**degraded, "nextRetryAt": None, "consecutiveFailures": 0}


async def test_with_the_missing_scopes_granted_later_it_is_well(api: Api, running: Running, open_id: str) -> None:
    await flows.connect(api, await flows.authorize(api, open_id, scopes="user.info.basic"))
    payload = await flows.connect(api, await flows.authorize(api, open_id))
    assert (payload["reconnected"], payload["account"]["health"]) == (True, HEALTHY)
    assert (payload["account"]["missingScopes"], payload["account"]["followerCount"] is None) == ([], False)


async def test_with_scopes_taken_back_later_it_keeps_the_counters_and_says_so(api: Api, open_id: str) -> None:
    before = (await flows.connect(api, await flows.authorize(api, open_id)))["account"]
    after = (await flows.connect(api, await flows.authorize(api, open_id, scopes="user.info.basic")))["account"]
    assert after["missingScopes"] == ["user.info.profile", "user.info.stats"]
    assert after["health"]["action"] == "GRANT_SCOPES"
    assert before["id"] == after["id"]


async def test_in_a_race_of_two_viewers_exactly_one_gets_it(
    api_of: Callable[[str], Api], running: Running, viewer: str
) -> None:
    for turn in range(4):
        apis, open_id = [api_of(f"{viewer}-{turn}-{number}") for number in range(2)], f"user-{uuid4().hex}"
        answers = [await flows.authorize(one, open_id) for one in apis]
        payloads = await asyncio.gather(*[flows.connect(*pair) for pair in zip(apis, answers, strict=True)])
        assert sorted(flows.error_codes(payload) for payload in payloads) == [[], ["ACCOUNT_CONNECTED_ELSEWHERE"]]
        [owner] = [one for one, payload in zip(apis, payloads, strict=True) if not payload["userErrors"]]
        [account] = await stored.accounts(running, owner.viewer)
        assert sorted([len(await stored.accounts(running, one.viewer)) for one in apis]) == [0, 1]
        assert await syncs(running, account)


async def test_without_a_token_nobody_connects(
    http: httpx.AsyncClient, running: Running, api: Api, open_id: str
) -> None:
    answer = await flows.authorize(api, open_id)
    response = await http.post("/graphql", json={"query": flows.CONNECT, "variables": {"input": answer}})
    assert response.status_code == 401
    assert await nothing_is_stored(running, api.viewer)


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_grants_for_one_account_the_later_one_is_kept(
    api: Api, stranger: Api, tiktok: TikTok, running: Running, open_id: str, first: int
) -> None:
    """Whoever stored first has the account; TikTok ended the earlier of the two grants."""
    answers = [await flows.authorize(one, open_id) for one in (api, stranger)]
    tiktok.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id=open_id, delay_seconds=1.5, passthrough=True))
    slow = asyncio.create_task(flows.connect(api, answers[0]))
    own_faults = [queued for queued in tiktok.sandbox.faults.list_active() if queued.fault.open_id == open_id]
    await until(
        lambda: not any(queued in tiktok.sandbox.faults.list_active() for queued in own_faults)
    )  # it is being read
    if first == 0:
        tiktok.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id=open_id, delay_seconds=3, passthrough=True))
    outcomes = [flows.error_codes(await flows.connect(stranger, answers[1])), flows.error_codes(await slow)]
    assert sorted(outcomes) == [[], ["ACCOUNT_CONNECTED_ELSEWHERE"]]
    owner = (api, stranger)[first].viewer
    [account] = await stored.accounts(running, owner)
    assert await syncs(running, account)
