"""The way of a browser: from our API over our page to TikTok's consent, and back."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.support.server import Api
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.settings import CALLBACK_PATH, START_PATH
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.tls import trusted
from tiktok_accounts_gql.web.browser_cookie import NAME
from tiktok_accounts_gql.wiring import Running

START = """
mutation Start($input: StartAccountAuthorizationInput!) {
  startAccountAuthorization(input: $input) { authorizationUrl expiresAt userErrors { code message field } }
}
"""
CONNECT = """
mutation Connect($input: ConnectAccountInput!) {
  connectAccount(input: $input) {
    account {
      id displayName status lastError grantedScopes missingScopes
      followerCount followingCount likesCount videoCount
      health { state reason action nextRetryAt consecutiveFailures }
    }
    reconnected
    userErrors { code message field retryAfterSeconds }
  }
}
"""
OURS = "https://app.example.com"
BROWSER = "b" * 43  # the secret of a browser that never saw our page
Answer = dict[str, str]


async def start(api: Api, **input: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.data(START, input=input))["startAccountAuthorization"]
    return payload


async def started(api: Api, **input: Any) -> str:
    """The link to our page."""
    payload = await start(api, **input)
    assert payload["userErrors"] == []
    link: str = payload["authorizationUrl"]
    return link


def parameters(link: str) -> Answer:
    return dict(parse_qsl(urlsplit(link).query, keep_blank_values=True))


async def press(http: httpx.AsyncClient, link: str) -> httpx.Response:
    """Our page, looked at and confirmed."""
    state = {"state": parameters(link)["state"]}
    page = await http.get(START_PATH, params=state)
    assert page.status_code == 200, page.text
    return await http.post(START_PATH, params=state, headers={"Origin": str(http.base_url).rstrip("/")})


async def go_on(http: httpx.AsyncClient, link: str) -> str:
    """The link to TikTok's consent page."""
    pressed = await press(http, link)
    assert pressed.status_code == 303, pressed.text
    return pressed.headers["location"]


async def under_way(api: Api, **input: Any) -> str:
    """The state of an authorization whose browser is at TikTok."""
    return parameters(await go_on(api.http, await started(api, **input)))["state"]


async def go_on_at(running: Running, link: str) -> str:
    """As `go_on`, without a server between: BROWSER went on."""
    return await running.services.start_pages.go_on(parameters(link)["state"], BROWSER)


async def consent(link: str, open_id: str, **sandbox: str) -> Answer:
    """What TikTok's redirect brings once this user has consented."""
    url = httpx.URL(link).copy_merge_params({"sandbox_user": open_id, **sandbox})
    async with httpx.AsyncClient(verify=trusted()) as browser:
        answer = await browser.get(url)
    brought = parameters(answer.headers["location"])
    return {name: brought[name] for name in ("state", "code")}


async def consented(api: Api, open_id: str, *, scopes: str | None = None, **input: Any) -> Answer:
    link = await go_on(api.http, await started(api, **input))
    return await consent(link, open_id, **({"sandbox_scopes": scopes} if scopes else {}))


async def come_back(http: httpx.AsyncClient, answer: Answer, browser: str | None = None) -> httpx.Response:
    """`browser`: its secret, in place of the one that the client keeps."""
    cookies = {"Cookie": f"{NAME}={browser}"} if browser else {}
    return await http.get(CALLBACK_PATH, params=answer, headers=cookies)


async def connect(api: Api, answer: Answer) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.data(CONNECT, input=answer))["connectAccount"]
    return payload


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


def called(open_id: str, name: str) -> Fault:
    """TikTok's next answer about this user, who has a name of the test's choice."""
    body = {"data": {"user": {"open_id": open_id, "display_name": name}}, "error": {"code": "ok"}}
    return Fault(path=USER_INFO_PATH, open_id=open_id, status=200, body=json.dumps(body).encode())
