"""An app that calls a sandbox over HTTP, without our client, and a server that receives its webhooks."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tiktok_accounts_gql.sandbox.app import Sandbox, create_sandbox
from tiktok_accounts_gql.sandbox.consent import AUTHORIZE_PATH
from tiktok_accounts_gql.sandbox.server import SandboxServer
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH, USER_INFO_PATH

REDIRECT_URI = "http://localhost:8000/back"
SECRET = "secret-1"
CREDENTIALS = {"client_key": "key-1", "client_secret": SECRET}
SCOPES = "user.info.basic,user.info.profile,user.info.stats"
AUTHORIZATION_PARAMETERS = {
    "client_key": "key-1",
    "response_type": "code",
    "scope": SCOPES,
    "redirect_uri": REDIRECT_URI,
    "state": "state-1",
    "disable_auto_auth": "1",
}


@dataclass(frozen=True, kw_only=True)
class App:
    http: httpx.Client
    sandbox: Sandbox

    def grant(self, open_id: str) -> dict[str, Any]:
        response = self.http.get(AUTHORIZE_PATH, params={**AUTHORIZATION_PARAMETERS, "sandbox_user": open_id})
        code = parse_qs(urlsplit(response.headers["location"]).query)["code"][0]
        form = {**CREDENTIALS, "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
        grant: dict[str, Any] = self.http.post(TOKEN_PATH, data=form).json()
        return grant

    def refresh(self, refresh_token: str) -> httpx.Response:
        form = {**CREDENTIALS, "grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.http.post(TOKEN_PATH, data=form)

    def revoke(self, token: str) -> httpx.Response:
        return self.http.post(REVOKE_PATH, data={**CREDENTIALS, "token": token})

    def user_info(self, token: str, fields: str = "open_id") -> httpx.Response:
        return self.http.get(USER_INFO_PATH, params={"fields": fields}, headers={"Authorization": f"Bearer {token}"})


@contextmanager
def run_sandbox(*, clock: Callable[[], float] = time.time, webhook_url: str | None = None) -> Iterator[App]:
    sandbox = create_sandbox(client_key="key-1", client_secret=SECRET, clock=clock, webhook_url=webhook_url)
    with SandboxServer(sandbox) as url, httpx.Client(base_url=url) as http, sandbox.state:
        yield App(http=http, sandbox=sandbox)


@dataclass(kw_only=True)
class WebhookServer:
    """The webhooks that were received. `statuses`: those of the next responses; 200 after them."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def wait(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.posts) < count:
            assert time.monotonic() < deadline, f"{len(self.posts)} of {count} webhooks arrived"
            time.sleep(0.01)


@contextmanager
def run_webhook_server() -> Iterator[WebhookServer]:
    webhook_server = WebhookServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(webhook_server.statuses.pop(0) if webhook_server.statuses else 200)
            self.end_headers()
            webhook_server.posts.append((dict(self.headers), body))

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        webhook_server.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        yield webhook_server
        server.shutdown()
        thread.join()
