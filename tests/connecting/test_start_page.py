"""GET and POST /oauth/tiktok/start: an account is connected only for the browser of somebody who read for whom."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import jwt
import pytest
import pytest_asyncio

from tests.connecting import flows, stored
from tests.connecting.flows import APP_ORIGIN
from tests.connecting.traces import find_traces, read_database
from tests.support.server import Api, serving
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db import connection_attempts
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import CALLBACK_PATH, START_PATH, Settings
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.web.browser_cookie import NAME
from tiktok_accounts_gql.wiring import Running, open_services

NOTHING = {"accounts": 0, "token_pairs": 0, "snapshots": 0, "avatars": 0, "owed_revocations": 0}
REFUSED = {"error": ["AUTHORIZATION_STATE_INVALID"]}
Browsers = Callable[[], httpx.AsyncClient]


@pytest.fixture
def open_id() -> str:
    return f"user-{uuid4().hex}"


@pytest_asyncio.fixture
async def browsers(server_url: str) -> AsyncGenerator[Browsers]:
    """Each one keeps cookies of its own."""
    opened: list[httpx.AsyncClient] = []

    def browser() -> httpx.AsyncClient:
        opened.append(httpx.AsyncClient(base_url=server_url, verify=get_ssl_context(), timeout=30))
        return opened[-1]

    yield browser
    for one in opened:
        await one.aclose()


def state_of(link: str) -> dict[str, str]:
    return {"state": flows.parse_query(link)["state"]}


def own(http: httpx.AsyncClient) -> dict[str, str]:
    return {"Origin": str(http.base_url).rstrip("/")}


def told(response: httpx.Response) -> dict[str, list[str]]:
    assert response.status_code == 303
    assert response.headers["location"].startswith(APP_ORIGIN)
    return parse_qs(urlsplit(response.headers["location"]).query)


def exchanges(tiktok: TikTok) -> int:
    return len(tiktok.sandbox.state.list_calls(TOKEN_PATH, kind="authorization_code"))


# Somebody else's link


async def test_the_page_of_somebody_elses_link_names_them_and_connects_nothing(
    api: Api, running: Running, browsers: Browsers
) -> None:
    """The victim reads, and goes no further."""
    link = await flows.get_start_url(api, returnTo=f"{APP_ORIGIN}/")
    page = await browsers().get(START_PATH, params=state_of(link))
    assert page.status_code == 200
    assert f"<b>{api.viewer}</b>" in page.text
    assert "of <b>app.example.com</b>" in page.text
    assert "Did somebody send you this link?" in page.text
    [attempt] = await stored.attempts(running, api.viewer)
    assert (attempt.browser_hash, attempt.used_at) == (None, None)


async def test_tiktoks_link_of_somebody_else_connects_nothing(
    api: Api, tiktok: TikTok, running: Running, browsers: Browsers, open_id: str
) -> None:
    """The attacker pressed, and sent on where that led: the victim never saw our page."""
    attacker, victim = browsers(), browsers()
    link = await flows.get_start_url(api, returnTo=f"{APP_ORIGIN}/")
    answer, before = await flows.give_consent(await flows.get_consent_url(attacker, link), open_id), exchanges(tiktok)
    assert told(await flows.send_callback(victim, answer)) == REFUSED
    assert await stored.counts(running, api.viewer) == NOTHING
    assert exchanges(tiktok) == before
    [attempt] = await stored.attempts(running, api.viewer)
    assert (attempt.used_at, attempt.connected_account_id) == (None, None)
    assert await stored.reasons(running, api.viewer) == ["AUTHORIZATION_STATE_INVALID"]


async def test_not_even_a_victim_who_has_looked_at_the_page_is_taken_for_who_pressed(
    api: Api, running: Running, browsers: Browsers, open_id: str
) -> None:
    """Nor one who has an authorization of their own under way: it is a cookie of another browser."""
    attacker, victim = browsers(), browsers()
    link = await flows.get_start_url(api, returnTo=f"{APP_ORIGIN}/")
    assert (await victim.get(START_PATH, params=state_of(link))).status_code == 200
    await flows.get_consent_url(victim, await flows.get_start_url(api))
    answer = await flows.give_consent(await flows.get_consent_url(attacker, link), open_id)
    assert told(await flows.send_callback(victim, answer)) == REFUSED
    assert await stored.counts(running, api.viewer) == NOTHING
    assert "accountId" in told(await flows.send_callback(attacker, answer))  # whose attempt it is, and still was


async def test_a_link_that_was_never_pressed_connects_nothing(
    api: Api, tiktok: TikTok, running: Running, browsers: Browsers, open_id: str
) -> None:
    """TikTok's URL can be made from the state, without our page."""
    victim = browsers()
    link = await flows.get_start_url(api, returnTo=f"{APP_ORIGIN}/")
    await victim.get(START_PATH, params=state_of(link))
    answer = {**state_of(link), "code": await tiktok.code(open_id)}
    assert told(await flows.send_callback(victim, answer)) == REFUSED
    assert await stored.counts(running, api.viewer) == NOTHING


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": APP_ORIGIN},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
async def test_no_other_page_can_press(api: Api, running: Running, browsers: Browsers, headers: dict[str, str]) -> None:
    browser, link = browsers(), await flows.get_start_url(api)
    assert (await browser.get(START_PATH, params=state_of(link))).status_code == 200
    sent = {**own(browser), **headers} if "Sec-Fetch-Site" in headers else headers
    pressed = await browser.post(START_PATH, params=state_of(link), headers=sent)
    assert (pressed.status_code, "location" in pressed.headers) == (403, False)
    [attempt] = await stored.attempts(running, api.viewer)
    assert attempt.browser_hash is None


@pytest.mark.parametrize("headers", [{"Origin": "http://localhost:8000"}, {"Sec-Fetch-Site": "same-origin"}], ids=str)
async def test_our_page_can_press_behind_a_proxy_too(api: Api, browsers: Browsers, headers: dict[str, str]) -> None:
    """Which may tell us another Host than the browser's."""
    browser, link = browsers(), await flows.get_start_url(api)
    await browser.get(START_PATH, params=state_of(link))
    assert (await browser.post(START_PATH, params=state_of(link), headers=headers)).status_code == 303


async def test_who_presses_second_in_another_browser_goes_nowhere(
    api: Api, running: Running, browsers: Browsers, open_id: str
) -> None:
    """Whoever found the link in a log, or in a history, is too late; and the first one is not disturbed."""
    first, second = browsers(), browsers()
    link = await flows.get_start_url(api, returnTo=f"{APP_ORIGIN}/")
    await second.get(START_PATH, params=state_of(link))
    answer = await flows.give_consent(await flows.get_consent_url(first, link), open_id)
    late = await second.post(START_PATH, params=state_of(link), headers=own(second))
    looked = await second.get(START_PATH, params=state_of(link))
    assert (late.status_code, looked.status_code) == (400, 400)
    assert "another browser" in late.text
    assert api.viewer not in looked.text
    assert "accountId" in told(await flows.send_callback(first, answer))
    [account] = await stored.accounts(running, api.viewer)
    assert account.open_id == open_id


async def test_two_browsers_that_press_at_once_are_not_both_sent_on(
    api: Api, running: Running, browsers: Browsers
) -> None:
    link, pressing = await flows.get_start_url(api), [browsers() for _ in range(6)]
    for one in pressing:
        await one.get(START_PATH, params=state_of(link))
    pressed = await asyncio.gather(
        *[client.post(START_PATH, params=state_of(link), headers=own(client)) for client in pressing]
    )
    assert sorted(response.status_code for response in pressed) == [303, *[400] * 5]
    [attempt] = await stored.attempts(running, api.viewer)
    [winner] = [one for one, answer in zip(pressing, pressed, strict=True) if answer.status_code == 303]
    assert attempt.browser_hash == connection_attempts.hash_browser(attempt.id, winner.cookies[NAME])


async def test_connect_account_wants_the_viewers_token_and_no_cookie(
    api: Api, stranger: Api, running: Running, browsers: Browsers, open_id: str
) -> None:
    answer = await flows.give_consent(await flows.get_consent_url(browsers(), await flows.get_start_url(api)), open_id)
    assert flows.error_codes(await flows.connect(stranger, answer)) == ["AUTHORIZATION_STATE_INVALID"]
    assert await stored.counts(running, stranger.viewer) == NOTHING
    assert flows.error_codes(await flows.connect(api, answer)) == []


# One's own link


async def test_a_double_click_and_the_way_back_lead_on_again(api: Api, browsers: Browsers, open_id: str) -> None:
    browser, link = browsers(), await flows.get_start_url(api, returnTo=f"{APP_ORIGIN}/")
    await browser.get(START_PATH, params=state_of(link))
    twice = [browser.post(START_PATH, params=state_of(link), headers=own(browser)) for _ in range(2)]
    assert len({one.headers["location"] for one in await asyncio.gather(*twice)}) == 1
    answer = await flows.give_consent(await flows.get_consent_url(browser, link), open_id)
    assert "accountId" in told(await flows.send_callback(browser, answer))
    used = await browser.get(START_PATH, params=state_of(link))
    assert (used.status_code, "was used" in used.text) == (400, True)


async def test_a_browser_has_several_authorizations_under_way(
    api: Api, stranger: Api, running: Running, browsers: Browsers
) -> None:
    browser = browsers()
    links = [await flows.get_start_url(one, returnTo=f"{APP_ORIGIN}/") for one in (api, stranger, api)]
    going = [await flows.get_consent_url(browser, link) for link in links]
    for link in reversed(going):
        answer = await flows.give_consent(link, f"user-{uuid4().hex}")
        assert "accountId" in told(await flows.send_callback(browser, answer))
    assert (
        len({attempt.browser_hash for attempt in await stored.attempts(running, api.viewer)}) == 2
    )  # they do not tell


async def test_a_browser_without_cookies_is_told_so_before_it_goes_to_tiktok(
    api: Api, running: Running, browsers: Browsers
) -> None:
    browser, link = browsers(), await flows.get_start_url(api)
    pressed = await browser.post(START_PATH, params=state_of(link), headers=own(browser))
    assert pressed.status_code == 400
    assert "Allow cookies of localhost" in pressed.text
    forged = await browser.post(START_PATH, params=state_of(link), headers={**own(browser), "Cookie": f"{NAME}=short"})
    assert forged.status_code == 400
    [attempt] = await stored.attempts(running, api.viewer)
    assert attempt.browser_hash is None


async def test_a_browser_that_lost_its_cookie_is_told_what_to_do(api: Api, browsers: Browsers, open_id: str) -> None:
    browser = browsers()
    answer = await flows.give_consent(await flows.get_consent_url(browser, await flows.get_start_url(api)), open_id)
    browser.cookies.clear()
    page = await flows.send_callback(browser, answer)
    assert page.status_code == 400
    assert "another browser" in page.text
    assert "accepts cookies" in page.text


async def test_looking_at_the_link_uses_nothing_up(
    api: Api, running: Running, browsers: Browsers, open_id: str
) -> None:
    """Chat apps and browsers look at links by themselves, also while their owner is on the way."""
    link, app = await flows.get_start_url(api, returnTo=f"{APP_ORIGIN}/"), browsers()
    before = await stored.attempts(running, api.viewer)
    for method in ("HEAD", "GET", "GET"):
        looked = await app.request(method, START_PATH, params=state_of(link), headers={"Sec-Purpose": "prefetch"})
        assert (looked.status_code, looked.headers["cache-control"]) == (200, "no-store")
    assert await stored.attempts(running, api.viewer) == before
    browser = browsers()
    answer = await flows.give_consent(await flows.get_consent_url(browser, link), open_id)
    assert "accountId" in told(await flows.send_callback(browser, answer))


@pytest.mark.parametrize("state", [None, "", "nobody's", "<script>alert(1)</script>", "s" * 5000, "\0", "é"])
async def test_what_nobody_started_shows_a_page_without_anything_foreign(browsers: Browsers, state: str | None) -> None:
    browser = browsers()
    asked = {} if state is None else {"state": state}
    cookie = {"Cookie": f"{NAME}={flows.BROWSER}"}
    for page in (
        await browser.get(START_PATH, params=asked),
        await browser.post(START_PATH, params=asked, headers={**own(browser), **cookie}),
    ):
        assert (page.status_code, page.headers["content-type"]) == (400, "text/html; charset=utf-8")
        assert "Start again." in page.text
        assert "<script" not in page.text
        assert not {"location", "set-cookie"} & page.headers.keys()


async def test_a_link_leads_on_for_ten_minutes(
    browsers: Browsers, settings: Settings, running: Running, viewer: str
) -> None:
    async with open_services(settings, clock=lambda: utc_now() - timedelta(minutes=10)) as earlier:
        begun = await earlier.services.authorizations.start(Viewer(id=viewer), return_to=None, account_id=None)
    browser, asked = browsers(), state_of(begun.authorization_url)
    cookie = {"Cookie": f"{NAME}={flows.BROWSER}"}
    looked = await browser.get(START_PATH, params=asked)
    pressed = await browser.post(START_PATH, params=asked, headers={**own(browser), **cookie})
    assert [(response.status_code, "too long ago" in response.text) for response in (looked, pressed)] == [
        (400, True)
    ] * 2
    [attempt] = await stored.attempts(running, viewer)
    assert attempt.browser_hash is None


# What the page is made of


async def test_the_page_cannot_be_framed_kept_or_told_of(api: Api, browsers: Browsers, settings: Settings) -> None:
    browser, link = browsers(), await flows.get_start_url(api)
    page = await browser.get(START_PATH, params=state_of(link))
    policy = dict(one.strip().partition(" ")[::2] for one in page.headers["content-security-policy"].split(";"))
    consent_page = "{0.scheme}://{0.netloc}".format(urlsplit(settings.tiktok_authorize_url))
    assert (policy["default-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'none'",) * 3
    assert policy["form-action"] == f"'self' https: {consent_page}"
    assert (page.headers["x-frame-options"], page.headers["cache-control"]) == ("DENY", "no-store")
    assert page.headers["referrer-policy"] == "same-origin"
    pressed = await browser.post(START_PATH, params=state_of(link), headers=own(browser))
    assert (pressed.headers["referrer-policy"], pressed.headers["cache-control"]) == ("no-referrer", "no-store")


async def test_the_secret_is_a_cookie_of_ten_minutes_and_stored_as_a_hash(
    api: Api, running: Running, settings: Settings, browsers: Browsers
) -> None:
    browser, link = browsers(), await flows.get_start_url(api)
    pressed = await flows.confirm_start_page(browser, link)
    name, *attributes = pressed.headers["set-cookie"].split("; ")
    secret = name.removeprefix(f"{NAME}=")
    assert sorted(attributes) == ["HttpOnly", "Max-Age=600", "Path=/", "SameSite=lax"]
    assert len(secret) == 43
    [attempt] = await stored.attempts(running, api.viewer)
    assert attempt.browser_hash == connection_attempts.hash_browser(attempt.id, secret)
    assert find_traces([secret], await read_database(running, settings)) == set()


async def test_by_https_the_cookie_is_secure_and_of_this_host_alone(
    settings: Settings, running: Running, viewer: str, open_id: str
) -> None:
    """Whether the proxy in front of us says https or not."""
    public = settings.model_copy(update={"public_url": "https://accounts.example.com"})
    async with serving(public) as url, httpx.AsyncClient(base_url=url, verify=get_ssl_context()) as http:
        link = await flows.get_start_url(Api(http=http, settings=public, viewer=viewer), returnTo=f"{APP_ORIGIN}/")
        assert link.startswith("https://accounts.example.com/oauth/tiktok/start?state=")
        asked, host = state_of(link), {"Host": "accounts.example.com"}
        cookie, *attributes = (await http.get(START_PATH, params=asked, headers=host)).headers["set-cookie"].split("; ")
        assert cookie.startswith(f"__Host-{NAME}=")
        assert sorted(attributes) == ["HttpOnly", "Max-Age=600", "Path=/", "SameSite=lax", "Secure"]
        origin = {"Origin": "https://accounts.example.com"}
        pressed = await http.post(START_PATH, params=asked, headers={**host, **origin, "Cookie": cookie})
        answer = await flows.give_consent(pressed.headers["location"], open_id)
        bare = {"Cookie": cookie.removeprefix("__Host-")}  # a neighbour could have set it
        assert told(await http.get(CALLBACK_PATH, params=answer, headers={**host, **bare})) == REFUSED
        back = await http.get(CALLBACK_PATH, params=answer, headers={**host, "Cookie": cookie})
        assert "accountId" in told(back)
    assert len(await stored.accounts(running, viewer)) == 1


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({}, None),
        ({"email": "anna@example.com", "preferred_username": "anna"}, "anna@example.com"),
        ({"email": "anna@example.com", "email_verified": False, "preferred_username": "anna"}, "anna"),
        ({"email": "not@yours.example", "email_verified": False}, None),
        ({"preferred_username": "<i>anna</i>"}, "<i>anna</i>"),
        ({"name": "Anybody"}, None),
        ({"email": "a\u202eb@example.com"}, None),
        ({"email": "a\nb"}, None),
        ({"email": ["anna@example.com"], "preferred_username": 7}, None),
        ({"email": "a" * 256, "preferred_username": ""}, None),
    ],
    ids=str,
)
async def test_the_page_names_the_user_as_the_token_does(
    api: Api, running: Running, browsers: Browsers, claims: dict[str, Any], name: str | None
) -> None:
    """By what users cannot choose freely; and always by their id."""
    secret = api.settings.jwt_secret
    assert secret is not None
    plain = jwt.decode(api.token, options={"verify_signature": False})
    token = jwt.encode({**plain, **claims}, secret.get_secret_value().encode())
    answer = await api.http.post(
        "/graphql",
        json={"query": flows.START, "variables": {"input": {}}},
        headers={"Authorization": f"Bearer {token}"},
    )
    link = answer.json()["data"]["startAccountAuthorization"]["authorizationUrl"]
    page = await browsers().get(START_PATH, params=state_of(link))
    [attempt] = await stored.attempts(running, api.viewer)
    assert attempt.viewer_name == name
    assert api.viewer in page.text
    assert "<i>anna</i>" not in page.text
    assert name is None or name in unescape(page.text)
