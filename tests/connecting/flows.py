"""The way of a browser: from our API to TikTok's consent, and back."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.support.server import Api
from tiktok_accounts_gql.settings import CALLBACK_PATH
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.tiktok.sandbox.faults import Fault
from tiktok_accounts_gql.tls import trusted

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
Answer = dict[str, str]


async def start(api: Api, **input: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.data(START, input=input))["startAccountAuthorization"]
    return payload


async def started(api: Api, **input: Any) -> str:
    """The link to TikTok's consent page."""
    payload = await start(api, **input)
    assert payload["userErrors"] == []
    link: str = payload["authorizationUrl"]
    return link


def parameters(link: str) -> Answer:
    return dict(parse_qsl(urlsplit(link).query, keep_blank_values=True))


async def consent(link: str, open_id: str, **sandbox: str) -> Answer:
    """What TikTok's redirect brings once this user has consented."""
    url = httpx.URL(link).copy_merge_params({"sandbox_user": open_id, **sandbox})
    async with httpx.AsyncClient(verify=trusted()) as browser:
        answer = await browser.get(url)
    brought = parameters(answer.headers["location"])
    return {name: brought[name] for name in ("state", "code")}


async def consented(api: Api, open_id: str, *, scopes: str | None = None, **input: Any) -> Answer:
    return await consent(await started(api, **input), open_id, **({"sandbox_scopes": scopes} if scopes else {}))


async def come_back(http: httpx.AsyncClient, answer: Answer) -> httpx.Response:
    return await http.get(CALLBACK_PATH, params=answer)


async def connect(api: Api, answer: Answer) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.data(CONNECT, input=answer))["connectAccount"]
    return payload


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


def called(open_id: str, name: str) -> Fault:
    """TikTok's next answer about this user, who has a name of the test's choice."""
    body = {"data": {"user": {"open_id": open_id, "display_name": name}}, "error": {"code": "ok"}}
    return Fault(path=USER_INFO_PATH, open_id=open_id, status=200, body=json.dumps(body).encode())
