"""POST /webhooks/tiktok: bodies that say the same in other words, and removals whose time tells nothing."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretBytes

from tests.connecting import flows, stored
from tests.support.server import Api
from tests.support.slots import set_row
from tests.support.tiktok import TikTok
from tests.support.webhooks import event, only_account, post, processed, removal, removals
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.db.quota import Endpoint
from tiktok_accounts_gql.services.removals import CLOCK_SKEW, REASONS
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.wiring import Running, open_services

LATER = timedelta(minutes=5)  # than the pause between two attempts

BANNED: dict[str, Any] = {
    "an object": {"reason": 4},
    "text": {"reason": "4"},
    "text with a blank": {"reason": "4 "},
    "a float": {"reason": 4.0},
    "a float that is text": {"reason": "4.0"},
    "text in an object in text": json.dumps({"reason": "4"}),
    "a float in text": '{"reason": 4.0}',
    "quoted twice": json.dumps(json.dumps({"reason": 4})),
    "beside what we do not know": {"reason": 4, "détails": "封禁", "x": [None]},
}


@pytest.mark.parametrize("content", BANNED.values(), ids=BANNED)
async def test_a_ban_is_a_ban_however_it_is_written(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str, content: Any
) -> None:
    account = await tiktok.connect(viewer)
    await post(http, body := removal(account.open_id, content=content))
    await processed(running, body)
    account_after = await only_account(running, viewer)
    assert (account_after.status, account_after.health_reason) == ("INACTIVE", "ACCOUNT_CLOSED")
    assert await stored.reasons(running, viewer, "AUTHORIZATION_REMOVED") == [REASONS[4][0]]
    assert await stored.sealed_pairs(running, viewer) == []


def later(account: Account) -> int:
    """A whole second after the connect."""
    return int(account.connected_at.timestamp()) + 1


TIMES: dict[str, Callable[[Account], Any]] = {
    "text": lambda account: str(later(account)),
    "text with blanks": lambda account: f" {later(account)} ",
    "a float": lambda account: float(later(account)),
    "a fraction in text": lambda account: f"{later(account)}.25",
    "milliseconds": lambda account: later(account) * 1000,
    "microseconds": lambda account: later(account) * 10**6,
    "ISO 8601": lambda account: (account.connected_at + timedelta(seconds=1)).isoformat(),
}


@pytest.mark.parametrize("time_of", TIMES.values(), ids=TIMES)
async def test_a_later_time_is_believed_however_it_is_written(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str, time_of: Callable[[Account], Any]
) -> None:
    account = await tiktok.connect(viewer)
    calls_before = tiktok.user_infos(account.open_id)
    await post(http, body := removal(account.open_id, create_time=time_of(account)))
    await processed(running, body)
    assert (await only_account(running, viewer)).status == "INACTIVE"
    assert tiktok.user_infos(account.open_id) == calls_before


OTHERWISE: dict[str, Callable[[bytes], bytes]] = {
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "blanks around the user": lambda body: body.replace(b'"user_openid": "', b'"user_openid": " \\t'),
    "an event in capitals": lambda body: body.replace(b"authorization.removed", b" Authorization.Removed "),
    "blanks around it all": lambda body: b"\n " + body + b" \n",
}


@pytest.mark.parametrize("write", OTHERWISE.values(), ids=OTHERWISE)
async def test_a_removal_is_one_however_it_is_written(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str, write: Callable[[bytes], bytes]
) -> None:
    account = await tiktok.connect(viewer)
    await post(http, body := write(removal(account.open_id)))
    await processed(running, body)
    assert (await only_account(running, viewer)).status == "INACTIVE"


UNTIMELY: dict[str, Callable[[Account], Any]] = {
    "absent": lambda account: None,
    "empty": lambda account: "",
    "words": lambda account: "yesterday",
    "true": lambda account: True,
    "zero": lambda account: 0,
    "negative": lambda account: -5,
    "a list": lambda account: [later(account)],
    "in the same second": lambda account: int(account.connected_at.timestamp()),
    "shortly before": lambda account: (account.connected_at - CLOCK_SKEW / 2).timestamp(),
}
untimely = pytest.mark.parametrize("time_of", UNTIMELY.values(), ids=UNTIMELY)


@untimely
async def test_a_time_that_tells_nothing_is_ignored_while_the_token_works(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str, time_of: Callable[[Account], Any]
) -> None:
    account = await tiktok.connect(viewer)
    calls_before = tiktok.user_infos(account.open_id)
    await post(http, body := removal(account.open_id, create_time=time_of(account)))
    await processed(running, body)
    assert await only_account(running, viewer) == account
    assert tiktok.user_infos(account.open_id) == calls_before + 1
    assert await removals(running, viewer) == 0


@untimely
async def test_a_time_that_tells_nothing_is_believed_if_tiktok_refuses_the_tokens(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str, time_of: Callable[[Account], Any]
) -> None:
    account = await tiktok.connect(viewer)
    refuse(tiktok, account)
    await post(http, body := removal(account.open_id, 4, create_time=time_of(account)))
    await processed(running, body)
    account_after = await only_account(running, viewer)
    assert (account_after.status, account_after.health_reason) == ("INACTIVE", "ACCOUNT_CLOSED")
    assert await removals(running, viewer) == 1
    assert await stored.sealed_pairs(running, viewer) == []


def refuse(tiktok: TikTok, account: Account) -> None:
    """Both of an account's tokens, once."""
    tiktok.fail(USER_INFO_PATH, account, status=401, error="access_token_invalid")
    tiktok.fail(TOKEN_PATH, account, status=400, error="invalid_grant")


async def test_a_token_that_can_be_renewed_works(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    tiktok.fail(USER_INFO_PATH, account, status=401, error="access_token_invalid")
    await post(http, body := removal(account.open_id, create_time=None))
    await processed(running, body)
    account_after = await only_account(running, viewer)
    assert (account_after.status, tiktok.refreshes(account.open_id)) == ("ACTIVE", 1)
    assert await removals(running, viewer) == 0


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"drop": True}, {"status": 429, "error": "rate_limit_exceeded"}], ids=str
)
async def test_while_tiktok_is_silent_it_waits_and_holds_up_nothing(
    tiktok: TikTok, own_settings: Settings, viewer: str, fault: dict[str, Any]
) -> None:
    async with open_services(own_settings) as running:
        connect = TikTok(sandbox=tiktok.sandbox, settings=own_settings, running=running).connect
        account, other = await connect(viewer), await connect(f"other-{viewer}")
        webhooks = running.services.webhooks
        tiktok.fail(USER_INFO_PATH, account, **fault)
        await webhooks.receive(waiting := removal(account.open_id, create_time=None))
        await webhooks.receive(removal(other.open_id))
        assert await webhooks.process_due() == 1
        assert (await only_account(running, other.viewer_id)).status == "INACTIVE"
        assert (await only_account(running, viewer)).status == "ACTIVE"
        calls_before = tiktok.user_infos(account.open_id)
        assert await webhooks.process_due() == 0  # not again at once
        assert tiktok.user_infos(account.open_id) == calls_before
    refuse(tiktok, account)
    async with open_services(own_settings, clock=lambda: utc_now() + LATER) as running:
        assert await running.services.webhooks.process_due() == 1
        assert (await only_account(running, viewer)).status == "INACTIVE"
        done = await event(running, waiting)
        assert done is not None
        assert done.processed_at is not None


async def test_while_tiktok_is_taken_to_be_down_it_waits_and_is_tried_again(
    tiktok: TikTok, own_settings: Settings, viewer: str
) -> None:
    """TikTok is not asked meanwhile, and the account stays as it is."""
    async with open_services(own_settings) as running:
        account = await TikTok(sandbox=tiktok.sandbox, settings=own_settings, running=running).connect(viewer)
        tiktok.sandbox.state.revoke_grant(account.open_id)
        calls_before = tiktok.user_infos(account.open_id)
        await set_row(running, Endpoint.USER_INFO, closed_until=5)
        await running.services.webhooks.receive(body := removal(account.open_id, create_time=None))
        assert await running.services.webhooks.process_due() == 0
        assert (await only_account(running, viewer)).status == "ACTIVE"
        assert tiktok.user_infos(account.open_id) == calls_before
        await set_row(running, Endpoint.USER_INFO, closed_until=None)
    async with open_services(own_settings, clock=lambda: utc_now() + LATER) as running:
        assert await running.services.webhooks.process_due() == 1
        assert (await only_account(running, viewer)).status == "INACTIVE"
        done = await event(running, body)
        assert done is not None
        assert (done.attempts, done.processed_at is None) == (2, False)


async def test_tokens_that_do_not_open_are_not_erased_by_a_removal_without_a_time(
    tiktok: TikTok, own_settings: Settings, viewer: str
) -> None:
    """Their key may come back, and then TikTok can be asked."""
    lost = own_settings.model_copy(update={"encryption_keys": (SecretBytes(bytes(32)),)})
    async with open_services(own_settings) as running:
        account = await TikTok(sandbox=tiktok.sandbox, settings=own_settings, running=running).connect(viewer)
        await running.services.webhooks.receive(removal(account.open_id, create_time=None))
    async with open_services(lost) as running:
        assert await running.services.webhooks.process_due() == 0
        assert len(await stored.sealed_pairs(running, viewer)) == 1
    async with open_services(own_settings, clock=lambda: utc_now() + LATER) as running:
        assert await running.services.webhooks.process_due() == 1
        assert (await only_account(running, viewer)).status == "ACTIVE"
        assert len(await stored.sealed_pairs(running, viewer)) == 1


async def test_what_tiktok_never_answers_is_given_up_after_three_days(
    tiktok: TikTok, own_settings: Settings, viewer: str
) -> None:
    async with open_services(own_settings) as running:
        account = await TikTok(sandbox=tiktok.sandbox, settings=own_settings, running=running).connect(viewer)
        await running.services.webhooks.receive(removal(account.open_id, create_time=None))
    tiktok.fail(USER_INFO_PATH, account, status=503)
    now = utc_now() + timedelta(hours=73)
    async with open_services(own_settings, clock=lambda: now) as running:
        tiktok.fail(TOKEN_PATH, account, status=503)
        assert await running.services.webhooks.process_due() == 1
        assert (await only_account(running, viewer)).status == "ACTIVE"


async def revoke(tiktok: TikTok, token: str) -> None:
    """At TikTok, by somebody else who has the app's secret."""
    secret = tiktok.settings.tiktok_client_secret.get_secret_value()
    form = {"client_key": tiktok.settings.tiktok_client_key, "client_secret": secret, "token": token}
    async with httpx.AsyncClient(base_url=tiktok.settings.tiktok_api_url, verify=get_ssl_context()) as client:
        (await client.post(REVOKE_PATH, data=form)).raise_for_status()


async def test_a_removal_in_the_second_of_a_reconnect_does_not_end_it(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running
) -> None:
    account = await tiktok.connect(api.viewer)
    await revoke(tiktok, (await stored.pair(running, tiktok.settings, account)).access_token)
    assert flows.error_codes(await flows.connect(api, await flows.authorize(api, account.open_id))) == []
    again = await only_account(running, api.viewer)
    await post(http, body := removal(account.open_id, 5, at=int(again.connected_at.timestamp())))
    await processed(running, body)
    assert await only_account(running, api.viewer) == again


async def test_a_removal_without_a_time_gives_a_known_end_its_reason(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    for body in (removal(account.open_id, 1), removal(account.open_id, 4, create_time=None)):
        await post(http, body)
        await processed(running, body)
    assert (await only_account(running, viewer)).health_reason == "ACCOUNT_CLOSED"


async def test_a_megabyte_is_refused_and_changes_nothing(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    answer = await post(http, body := removal(account.open_id, padding="x" * 1024 * 1024))
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (413, "LIMIT_EXCEEDED")
    assert await event(running, body) is None
    assert await only_account(running, viewer) == account


@pytest.mark.parametrize(
    "body",
    [b"null", b'"authorization.removed"', b'{"event": "authorization.removed", "user_openid": 12345678901234}'],
    ids=["null", "a word", "a number that nobody has"],
)
async def test_what_names_no_account_is_received_and_done_with(
    http: httpx.AsyncClient, running: Running, body: bytes
) -> None:
    assert (await post(http, body)).status_code == 200
    await processed(running, body)
