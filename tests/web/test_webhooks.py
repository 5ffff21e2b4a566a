"""POST /webhooks/tiktok"""

import asyncio
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.connecting import flows, stored
from tests.support.backends import on_sqlite
from tests.support.server import Api, serving
from tests.support.tiktok import TikTok
from tests.support.webhooks import event, only_account, post, processed, removal, removals, signature
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.services.removals import REASONS
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.web.webhooks import PATH, SIGNATURE
from tiktok_accounts_gql.wiring import Running, open_services

AUDIT = """
{ auditEvents(filter: { action: [AUTHORIZATION_REMOVED] }) {
  edges { node { actor account { status } details { name value } } }
} }
"""


async def test_a_removal_is_answered_at_once_and_done_within_two_seconds(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running
) -> None:
    account, other = await tiktok.connect(api.viewer), await tiktok.connect(api.viewer)
    answer = await post(http, body := removal(account.open_id))
    assert (answer.status_code, answer.json()) == (200, {})
    await processed(running, body)
    removed, remaining = await stored.accounts(running, api.viewer)
    assert (removed.status, removed.health_reason, removed.token_expires_at) == ("INACTIVE", "USER_REVOKED", None)
    assert remaining == other
    assert [pair.account_id for pair in await stored.sealed_pairs(running, api.viewer)] == [other.id]
    [edge] = (await api.data(AUDIT))["auditEvents"]["edges"]
    assert (edge["node"]["actor"], edge["node"]["account"]["status"]) == ("TIKTOK", "INACTIVE")
    assert edge["node"]["details"] == [{"name": "reason", "value": "The user withdrew it in TikTok."}]


@pytest.mark.parametrize("reason", REASONS)
async def test_each_reason_is_told(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str, reason: int
) -> None:
    account = await tiktok.connect(viewer)
    await post(http, body := removal(account.open_id, reason))
    await processed(running, body)
    removed = await only_account(running, viewer)
    says, _ = REASONS[reason]
    assert (removed.status, removed.health_reason) == (
        "INACTIVE",
        "ACCOUNT_CLOSED" if reason in (2, 3, 4) else "USER_REVOKED",
    )
    assert await stored.reasons(running, viewer, "AUTHORIZATION_REMOVED") == [says]
    assert await stored.sealed_pairs(running, viewer) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"reason": 99}', "unknown"),
        ('{"reason": 4.5}', "unknown"),
        ('{"reason": true}', "unknown"),
        ('{"reason": "banned"}', "unknown"),
        ('{"reason": null}', "unknown"),
        ('{"reason": 1e400}', "unknown"),
        ("{}", "unknown"),
        ("", "unknown"),
        ("[]", "unknown"),
        ("{", "unknown"),
        ("null", "unknown"),
        (["reason"], "unknown"),
        (None, "unknown"),
    ],
    ids=str,
)
async def test_a_removal_without_a_reason_that_we_know_is_a_removal(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str, content: Any, says: str
) -> None:
    account = await tiktok.connect(viewer)
    body = removal(account.open_id, content=content)
    assert (await post(http, body)).status_code == 200
    await processed(running, body)
    assert (await only_account(running, viewer)).status == "INACTIVE"
    assert await stored.reasons(running, viewer, "AUTHORIZATION_REMOVED") == [says]


FORGED: dict[str, Callable[[bytes], str]] = {
    "missing": lambda body: "",
    "of another secret": lambda body: signature(body, secret="another-secret"),
    "of an empty secret": lambda body: signature(body, secret=""),
    "of another body": lambda body: signature(body + b" "),
    "of another time": lambda body: signature(body).replace("t=1", "t=2", 1),
    "six minutes old": lambda body: signature(body, at=time.time() - 360),
    "of a day ago": lambda body: signature(body, at=time.time() - 86_400),
    "six minutes ahead": lambda body: signature(body, at=time.time() + 360),
    "in upper case": lambda body: signature(body).upper(),
    "cut off": lambda body: signature(body)[:-1],
    "longer": lambda body: signature(body) + "0",
    "twice": lambda body: f"{signature(body)},{signature(body)}",
    "without its time": lambda body: signature(body).partition(",")[2],
    "without itself": lambda body: signature(body).partition(",")[0],
    "the other way round": lambda body: ",".join(reversed(signature(body).split(","))),
    "with spaces": lambda body: signature(body).replace(",", ", "),
    "of a negative time": lambda body: "t=-1,s=" + "0" * 64,
    "of no time": lambda body: "t=,s=" + "0" * 64,
    "of an endless time": lambda body: "t=" + "9" * 400 + ",s=" + "0" * 64,
    "nonsense": lambda body: "nonsense",
    "not ASCII": lambda body: "t=1²,s=é",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_what_tiktok_did_not_sign_now_is_refused_and_not_stored(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str, forge: Callable[[bytes], str]
) -> None:
    account = await tiktok.connect(viewer)
    body = removal(account.open_id)
    headers = [(b"TikTok-Signature", forge(body).encode("latin-1"))] if forge(body) else []
    answer = await http.post(PATH, content=body, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert await event(running, body) is None
    assert (await only_account(running, viewer)).status == "ACTIVE"


async def test_the_greatest_age_is_a_setting(running: Running, settings: Settings) -> None:
    async with open_services(settings.model_copy(update={"webhook_max_age_seconds": 3600})) as patient:
        body = removal("somebody")
        assert patient.services.webhooks.is_genuine(signature(body, at=time.time() - 3500), body)
        assert not patient.services.webhooks.is_genuine(signature(body, at=time.time() - 3700), body)
    assert not running.services.webhooks.is_genuine(signature(body, at=time.time() - 3500), body)


async def test_the_same_again_is_answered_and_done_once(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    body = removal(account.open_id)
    async with serving(settings) as url, httpx.AsyncClient(base_url=url, verify=get_ssl_context()) as other:
        answers = await asyncio.gather(*[post(client, body) for client in (http, other) * 5])
    answers.append(await post(http, body))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"{}")}
    await processed(running, body)
    assert await removals(running, viewer) == 1


async def test_once_done_the_same_again_does_not_end_a_new_connection(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running
) -> None:
    account = await tiktok.connect(api.viewer)
    await post(http, body := removal(account.open_id, at=time.time() + 3600))  # as late as can be
    await processed(running, body)
    assert flows.error_codes(await flows.connect(api, await flows.authorize(api, account.open_id))) == []
    await post(http, body)
    await running.services.webhooks.process_due()
    assert (await only_account(running, api.viewer)).status == "ACTIVE"


async def test_a_removal_from_before_the_last_connect_is_of_an_earlier_authorization(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    await post(http, body := removal(account.open_id, at=time.time() - 60))
    await processed(running, body)
    assert await only_account(running, viewer) == account
    assert await removals(running, viewer) == 0
    assert len(await stored.sealed_pairs(running, viewer)) == 1


async def test_a_second_removal_for_another_reason_is_told_as_well(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    for reason in (1, 5, 4):
        await post(http, body := removal(account.open_id, reason))
        await processed(running, body)
    assert (await only_account(running, viewer)).health_reason == "ACCOUNT_CLOSED"
    reasons = await stored.reasons(running, viewer, "AUTHORIZATION_REMOVED")
    assert reasons == [REASONS[1][0], REASONS[4][0]]


IGNORED: dict[str, Callable[[str], bytes]] = {
    "another event": lambda open_id: removal(open_id, event="video.publish.completed"),
    "an event that is no text": lambda open_id: removal(open_id, event=["authorization.removed"]),
    "without an event": lambda open_id: removal(open_id, event=None),
    "without a user": lambda open_id: removal(open_id, user_openid=None),
    "a user that is no text": lambda open_id: removal(open_id, user_openid={"$ne": 1}),
    "a user with NUL": lambda open_id: removal(f"{open_id}\0"),
    "a user of 30 KB": lambda open_id: removal(open_id * 600),
    "somebody unknown": lambda open_id: removal(f"unknown-{open_id}"),
    "without a time": lambda open_id: removal(open_id, create_time=None),
    "a time that is text": lambda open_id: removal(open_id, create_time="1"),
    "a time that is true": lambda open_id: removal(open_id, create_time=True),
    "a time that is a fraction": lambda open_id: removal(open_id, create_time=1.5),
    "long before 1970": lambda open_id: removal(open_id, create_time=-(2**62)),
    "not JSON": lambda open_id: f"{open_id}".encode(),
    "a list": lambda open_id: f'["{open_id}"]'.encode(),
    "a number": lambda open_id: str(uuid4().int).encode(),
    "not UTF-8": lambda open_id: f'{{"{open_id}'.encode() + b'\xff": 1}',
    "nested 10,000 deep": lambda open_id: b"[" * 10_000 + open_id.encode(),
    "empty": lambda open_id: b"",
}


@pytest.mark.parametrize("make", IGNORED.values(), ids=IGNORED)
@on_sqlite
async def test_what_makes_no_sense_is_received_and_ignored_and_holds_up_nothing(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str, make: Callable[[str], bytes]
) -> None:
    account, other = await tiktok.connect(viewer), await tiktok.connect(f"other-{viewer}")
    body = make(account.open_id)
    answer = await post(http, body)
    assert (answer.status_code, answer.json()) == (200, {})
    await post(http, after := removal(other.open_id))
    await processed(running, body)
    await processed(running, after)
    assert await only_account(running, viewer) == account
    assert await stored.actions(running, viewer) == ["ACCOUNT_CONNECTED"]
    assert (await only_account(running, other.viewer_id)).status == "INACTIVE"


async def test_a_removal_far_in_the_future_is_one(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    body = removal(account.open_id, create_time=2**63)
    assert (await post(http, body)).status_code == 200
    await processed(running, body)
    assert (await only_account(running, viewer)).status == "INACTIVE"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_64_kib_is_refused_and_not_stored(
    http: httpx.AsyncClient, running: Running, chunked: bool
) -> None:
    body = removal(uuid4().hex, padding="x" * 64 * 1024)

    async def chunks() -> Any:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    content: Any = chunks() if chunked else body
    answer = await http.post(PATH, content=content, headers={SIGNATURE: signature(body)})
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (413, "LIMIT_EXCEEDED")
    assert await event(running, body) is None


async def test_what_was_answered_is_processed_by_another_process_if_this_one_dies(
    tiktok: TikTok, own_settings: Settings, viewer: str
) -> None:
    async with open_services(own_settings) as dying:
        account = await TikTok(sandbox=tiktok.sandbox, settings=own_settings, running=dying).connect(viewer)
        await dying.services.webhooks.receive(body := removal(account.open_id))
    async with open_services(own_settings) as next_one:
        assert (await only_account(next_one, viewer)).status == "ACTIVE"
        assert await next_one.services.webhooks.process_due() == 1
        assert (await only_account(next_one, viewer)).status == "INACTIVE"
        done = await event(next_one, body)
        assert done is not None
        assert done.processed_at is not None
        assert await next_one.services.webhooks.process_due() == 0


async def test_a_server_begins_with_what_another_one_left(tiktok: TikTok, own_settings: Settings, viewer: str) -> None:
    async with open_services(own_settings) as dying:
        account = await TikTok(sandbox=tiktok.sandbox, settings=own_settings, running=dying).connect(viewer)
        await dying.services.webhooks.receive(body := removal(account.open_id))
    async with serving(own_settings), open_services(own_settings) as watching:
        await processed(watching, body)
        assert (await only_account(watching, viewer)).status == "INACTIVE"


async def test_processed_twice_it_changes_nothing_more(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    """As after a crash between the effect and its mark; at once in two processes, and once more."""
    account = await tiktok.connect(viewer)
    async with open_services(settings) as other:
        both = [process.services.removals.remove(account.open_id, 1, utc_now()) for process in (running, other)]
        await asyncio.gather(*both)
    first = await only_account(running, viewer)
    await running.services.removals.remove(account.open_id, 1, utc_now())
    assert await only_account(running, viewer) == first
    assert await removals(running, viewer) == 1


async def test_two_processes_that_process_at_once_do_it_once(
    tiktok: TikTok, own_settings: Settings, viewer: str
) -> None:
    async with open_services(own_settings) as first, open_services(own_settings) as second:
        connect = TikTok(sandbox=tiktok.sandbox, settings=own_settings, running=first).connect
        accounts = [await connect(f"{viewer}-{number}") for number in range(5)]
        for account in accounts:
            await first.services.webhooks.receive(removal(account.open_id))
        await asyncio.gather(first.services.webhooks.process_and_prune(), second.services.webhooks.process_and_prune())
        assert [await removals(first, account.viewer_id) for account in accounts] == [1] * 5


async def test_hashes_are_kept_for_a_week_and_what_waits_is_never_forgotten(own_settings: Settings) -> None:
    old, waiting = removal(f"old-{uuid4().hex}"), removal(f"waiting-{uuid4().hex}")
    async with open_services(own_settings) as running:
        webhooks = running.services.webhooks
        await webhooks.receive(old)
        await webhooks.process_and_prune()
        assert await event(running, old) is not None
    now = utc_now()
    async with open_services(own_settings, clock=lambda: now.replace(year=now.year + 1)) as later:
        await later.services.webhooks.receive(waiting)
        await later.services.webhooks.process_and_prune()
        assert await event(later, old) is None
        assert await event(later, waiting) is not None


async def test_a_removed_account_asks_to_be_connected_again(
    http: httpx.AsyncClient, tiktok: TikTok, running: Running, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    await post(http, body := removal(account.open_id))
    await processed(running, body)
    before = len(tiktok.sandbox.state.list_calls(open_id=account.open_id))
    synced = await running.services.syncing.sync(Viewer(id=viewer), account.id)
    assert synced.error is not None
    assert (synced.error.code, synced.account.status) == ("REAUTHORIZATION_REQUIRED", "INACTIVE")
    assert len(tiktok.sandbox.state.list_calls(open_id=account.open_id)) == before


async def test_only_a_post_is_a_webhook(http: httpx.AsyncClient) -> None:
    assert (await http.get(PATH)).status_code == 405
