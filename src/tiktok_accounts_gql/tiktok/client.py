"""A client of TikTok's API, with a connection pool; every reply is bounded in time and size.

Sources: TikTok for Developers, "OAuth User Access Token Management", "Login Kit for Web", "Get User Info".
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr

from tiktok_accounts_gql.response_bodies import read_body
from tiktok_accounts_gql.tiktok import replies
from tiktok_accounts_gql.tiktok.errors import Unavailable, UnreadableReply, WrongAccount
from tiktok_accounts_gql.tiktok.replies import Reply
from tiktok_accounts_gql.tiktok.values import TikTokUser, TokenGrant, list_fields
from tiktok_accounts_gql.tls import get_ssl_context

MAX_REPLY_BYTES = 5 * 1024 * 1024  # texts of up to 1 MiB are cut one by one; a reply with them is still parsed
CONNECT_SECONDS = 3.0
TOKEN_PATH, REVOKE_PATH, USER_INFO_PATH = "/v2/oauth/token/", "/v2/oauth/revoke/", "/v2/user/info/"


def build_authorization_url(
    *,
    authorize_url: str,
    client_key: str,
    redirect_uri: str,
    scopes: Iterable[str],
    state: str,
    code_challenge: str | None = None,
) -> str:
    """Build the URL of the consent page. `code_challenge`: lower-case hex of the verifier's SHA-256 (desktop apps only)."""
    parameters = {
        "client_key": client_key,
        "response_type": "code",
        "scope": ",".join(scopes),
        "redirect_uri": redirect_uri,
        "state": state,
        "disable_auto_auth": "1",  # or TikTok reconnects the account that is signed in, and a second one cannot be added
    }
    if code_challenge is not None:
        parameters |= {"code_challenge": code_challenge, "code_challenge_method": "S256"}
    return f"{authorize_url}?{urlencode(parameters)}"


class TikTokClient:
    """A client for one app. All calls raise TikTokError; none is retried."""

    def __init__(self, http: httpx.AsyncClient, *, client_key: str, client_secret: SecretStr, timeout: float) -> None:
        self._http = http
        self._client_key = client_key
        self._client_secret = client_secret
        self._timeout = timeout

    @classmethod
    def open(
        cls,
        *,
        api_url: str,
        client_key: str,
        client_secret: SecretStr,
        timeout: float = 10.0,
        max_connections: int = 100,
    ) -> Self:
        """Open a client. `timeout`: seconds for a whole call, however slowly the bytes of its reply arrive."""
        http = httpx.AsyncClient(
            base_url=api_url,
            verify=get_ssl_context(),
            timeout=httpx.Timeout(timeout, connect=min(CONNECT_SECONDS, timeout)),
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
            follow_redirects=False,
            headers={
                "User-Agent": "tiktok-accounts-gql",
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # a few compressed bytes could stand for very many
            },
        )
        return cls(http, client_key=client_key, client_secret=client_secret, timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def exchange_code(self, *, code: str, redirect_uri: str, code_verifier: str | None = None) -> TokenGrant:
        """Exchange an authorization code for tokens. Raises InvalidGrant if it is used, expired or of another app."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        if code_verifier is not None:
            form["code_verifier"] = code_verifier
        return await self._request_grant(form)

    async def refresh(self, refresh_token: str, *, open_id: str | None = None) -> TokenGrant:
        """Return new tokens. The old refresh token is invalid from then on.

        Raises WrongAccount if they are for another account than `open_id`. Those tokens are dropped and not revoked, which
        would end that account's own authorization.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        grant = await self._request_grant(form, open_id)
        if open_id and grant.open_id and grant.open_id != open_id:
            raise WrongAccount
        return grant

    async def revoke(self, access_token: str) -> None:
        """End the TikTok user's authorization of this app."""
        replies.check_revoked(await self._post(REVOKE_PATH, {"token": access_token}))

    async def user_info(self, access_token: str, *, scopes: Collection[str]) -> TikTokUser:
        """Return the account of a token: the fields of these granted scopes."""
        query = {"fields": ",".join(list_fields(scopes))}
        headers = {"Authorization": f"Bearer {access_token}"}
        return replies.parse_user(await self._request("GET", USER_INFO_PATH, params=query, headers=headers), scopes)

    async def _request_grant(self, form: Mapping[str, str], open_id: str | None = None) -> TokenGrant:
        reply = await self._post(TOKEN_PATH, form)
        try:
            return replies.parse_token_grant(reply)
        except UnreadableReply as error:
            refresh_token = replies.find_refresh_token(reply, open_id)
            if refresh_token not in (None, form.get("refresh_token")):
                error.refresh_token = SecretStr(refresh_token)
            raise

    async def _post(self, path: str, form: Mapping[str, str]) -> Reply:
        credentials = {"client_key": self._client_key, "client_secret": self._client_secret.get_secret_value()}
        return await self._request("POST", path, data={**credentials, **form})

    async def _request(self, method: str, path: str, **content: Any) -> Reply:
        try:
            async with asyncio.timeout(self._timeout), self._http.stream(method, path, **content) as response:
                return await _read_reply(response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise Unavailable(ambiguous=False) from None
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            raise Unavailable from None


async def _read_reply(response: httpx.Response) -> Reply:
    """Read a reply. A body that is compressed or too large counts as empty: the status is enough for an error."""
    try:
        body = await read_body(response, max_bytes=MAX_REPLY_BYTES)
    except ValueError:
        body = b""
    return Reply(status=response.status_code, body=body, retry_after=response.headers.get("retry-after"))
