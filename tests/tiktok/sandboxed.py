"""An app that talks to a sandbox over HTTP, as its programmer would by hand, and the server that gets its webhooks."""

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

BACK = "http://localhost:8000/back"
SECRET = "secret-1"
CREDENTIALS = {"client_key": "key-1", "client_secret": SECRET}
SCOPES = "user.info.basic,user.info.profile,user.info.stats"
ASKED = {
    "client_key": "key-1",
    "response_type": "code",
    "scope": SCOPES,
    "redirect_uri": BACK,
    "state": "state-1",
    "disable_auto_auth": "1",
}


@dataclass(frozen=True, kw_only=True)
class App:
    http: httpx.Client
    sandbox: Sandbox

    def grant(self, open_id: str) -> dict[str, Any]:
        answer = self.http.get(AUTHORIZE_PATH, params={**ASKED, "sandbox_user": open_id})
        code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
        form = {**CREDENTIALS, "grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
        granted: dict[str, Any] = self.http.post(TOKEN_PATH, data=form).json()
        return granted

    def refresh(self, refresh_token: str) -> httpx.Response:
        form = {**CREDENTIALS, "grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.http.post(TOKEN_PATH, data=form)

    def revoke(self, token: str) -> httpx.Response:
        return self.http.post(REVOKE_PATH, data={**CREDENTIALS, "token": token})

    def user_info(self, token: str, fields: str = "open_id") -> httpx.Response:
        return self.http.get(USER_INFO_PATH, params={"fields": fields}, headers={"Authorization": f"Bearer {token}"})


@contextmanager
def sandboxed(*, clock: Callable[[], float] = time.time, webhook_url: str | None = None) -> Iterator[App]:
    sandbox = create_sandbox(client_key="key-1", client_secret=SECRET, clock=clock, webhook_url=webhook_url)
    with SandboxServer(sandbox) as url, httpx.Client(base_url=url) as http, sandbox.state:
        yield App(http=http, sandbox=sandbox)


@dataclass(kw_only=True)
class Inbox:
    """`answers`: the statuses to come; 200 after them."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def wait(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.posts) < count:
            assert time.monotonic() < deadline, f"{len(self.posts)} of {count} webhooks arrived"
            time.sleep(0.01)


@contextmanager
def inbox() -> Iterator[Inbox]:
    kept = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(kept.answers.pop(0) if kept.answers else 200)
            self.end_headers()
            kept.posts.append((dict(self.headers), body))

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        kept.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        yield kept
        server.shutdown()
        thread.join()
