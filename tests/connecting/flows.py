"""The steps of an authorization: from the API over the start page to TikTok's consent page, and back to the callback."""

import json
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx

from tests.support.server import Api
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.settings import CALLBACK_PATH, START_PATH
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.tls import get_ssl_context
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
APP_ORIGIN = "https://app.example.com"
BROWSER = "b" * 43  # the secret of a browser that never saw the start page
CallbackQuery = dict[str, str]


async def start(api: Api, **input: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.data(START, input=input))["startAccountAuthorization"]
    return payload


async def get_start_url(api: Api, **input: Any) -> str:
    """Start an authorization and return the URL of its start page."""
    payload = await start(api, **input)
    assert payload["userErrors"] == []
    url: str = payload["authorizationUrl"]
    return url


def parse_query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


async def confirm_start_page(http: httpx.AsyncClient, url: str) -> httpx.Response:
    """Open the start page and press its button."""
    state = {"state": parse_query(url)["state"]}
    page = await http.get(START_PATH, params=state)
    assert page.status_code == 200, page.text
    return await http.post(START_PATH, params=state, headers={"Origin": str(http.base_url).rstrip("/")})


async def get_consent_url(http: httpx.AsyncClient, url: str) -> str:
    """Confirm the start page and return the URL of TikTok's consent page."""
    response = await confirm_start_page(http, url)
    assert response.status_code == 303, response.text
    return response.headers["location"]


async def get_state_at_tiktok(api: Api, **input: Any) -> str:
    """Return the state of an authorization whose browser is at TikTok."""
    return parse_query(await get_consent_url(api.http, await get_start_url(api, **input)))["state"]


async def confirm_in_process(running: Running, url: str) -> str:
    """Do as `get_consent_url`, by the service instead of HTTP, with the browser BROWSER."""
    return await running.services.start_pages.confirm(parse_query(url)["state"], BROWSER)


async def give_consent(url: str, open_id: str, **sandbox: str) -> CallbackQuery:
    """Consent as this user, and return the query of TikTok's redirect."""
    consent_url = httpx.URL(url).copy_merge_params({"sandbox_user": open_id, **sandbox})
    async with httpx.AsyncClient(verify=get_ssl_context()) as browser:
        response = await browser.get(consent_url)
    query = parse_query(response.headers["location"])
    return {name: query[name] for name in ("state", "code")}


async def authorize(api: Api, open_id: str, *, scopes: str | None = None, **input: Any) -> CallbackQuery:
    """Go all the way to TikTok's redirect."""
    url = await get_consent_url(api.http, await get_start_url(api, **input))
    return await give_consent(url, open_id, **({"sandbox_scopes": scopes} if scopes else {}))


async def send_callback(http: httpx.AsyncClient, query: CallbackQuery, browser: str | None = None) -> httpx.Response:
    """Follow TikTok's redirect; `browser` is a secret to show in place of the one in the client's cookie."""
    cookies = {"Cookie": f"{NAME}={browser}"} if browser else {}
    return await http.get(CALLBACK_PATH, params=query, headers=cookies)


def redirect_query(response: httpx.Response) -> dict[str, list[str]]:
    """Return the query of the app's URL to which the browser is redirected."""
    assert response.status_code == 303
    location = response.headers["location"]
    assert location.startswith(APP_ORIGIN)
    return parse_qs(urlsplit(location).query, keep_blank_values=True)


async def connect(api: Api, query: CallbackQuery) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.data(CONNECT, input=query))["connectAccount"]
    return payload


def error_codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


def display_name_fault(open_id: str, name: str) -> Fault:
    """Build TikTok's next answer about this user, with a display name of the test's choice."""
    body = {"data": {"user": {"open_id": open_id, "display_name": name}}, "error": {"code": "ok"}}
    return Fault(path=USER_INFO_PATH, open_id=open_id, status=200, body=json.dumps(body).encode())
