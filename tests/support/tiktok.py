"""TikTok in tests: the sandbox on a socket, and accounts connected as users connect them, over HTTP."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx

from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.sandbox.app import Sandbox
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.connection_writer import ConnectedAccount
from tiktok_accounts_gql.services.connections import CodeExchange
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH, USER_INFO_PATH, build_authorization_url
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.wiring import Running

CLIENT_KEY = "test-client-key"
CLIENT_SECRET = "test-client-secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class TikTok:
    """A sandbox, and a server that connects accounts to it."""

    sandbox: Sandbox
    settings: Settings
    running: Running

    async def code(self, open_id: str, *, scopes: str | None = None) -> str:
        """Consent as a user, and return the authorization code of the redirect."""
        url = build_authorization_url(
            authorize_url=self.settings.tiktok_authorize_url,
            client_key=self.settings.tiktok_client_key,
            redirect_uri=self.redirect_uri,
            scopes=self.settings.tiktok_scopes,
            state="s",
        )
        consent = {"sandbox_user": open_id, **({"sandbox_scopes": scopes} if scopes else {})}
        async with httpx.AsyncClient(verify=get_ssl_context()) as browser:
            response = await browser.get(httpx.URL(url).copy_merge_params(consent))
        return parse_qs(urlsplit(response.headers["location"]).query)["code"][0]

    @property
    def redirect_uri(self) -> str:
        return f"{self.settings.public_url}/oauth/tiktok/callback"

    async def connected(
        self, viewer: str, open_id: str | None = None, *, scopes: str | None = None
    ) -> ConnectedAccount:
        code = await self.code(open_id or f"user-{uuid4().hex}", scopes=scopes)
        connections = self.running.services.connections
        return await connections.connect(Viewer(id=viewer), CodeExchange(code=code, redirect_uri=self.redirect_uri))

    async def connect(self, viewer: str, open_id: str | None = None, *, scopes: str | None = None) -> Account:
        return (await self.connected(viewer, open_id, scopes=scopes)).account

    def fail(self, path: str, account: Account, **fault: Any) -> None:
        """Let the next call of `path` about this account meet a fault."""
        self.sandbox.faults.add(Fault(path=path, open_id=account.open_id, **fault))

    def refreshes(self, open_id: str) -> int:
        return len(self.sandbox.state.list_calls(TOKEN_PATH, open_id=open_id, kind="refresh_token"))

    def user_infos(self, open_id: str) -> int:
        return len(self.sandbox.state.list_calls(USER_INFO_PATH, open_id=open_id))

    def revocations(self, open_id: str) -> int:
        return len(self.sandbox.state.list_calls(REVOKE_PATH, open_id=open_id))

    def revoked(self, open_id: str) -> bool:
        return self.sandbox.state.find_grant(open_id) is None
