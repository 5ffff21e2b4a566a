"""`tiktok-accounts sandbox` as a process: an app gets a grant from it, with the lifetimes of its options."""

import signal
from contextlib import closing
from pathlib import Path
from socket import create_connection
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.cli.processes import start_command
from tests.tiktok.sandbox_app import AUTHORIZATION_PARAMETERS, CREDENTIALS, REDIRECT_URI
from tiktok_accounts_gql.sandbox.consent import AUTHORIZE_PATH
from tiktok_accounts_gql.sandbox.server import listen
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH

CLIENT_OPTIONS = ("--client-key", CREDENTIALS["client_key"], "--client-secret", CREDENTIALS["client_secret"])


def test_a_port_accepts_connections_before_it_is_printed() -> None:
    with closing(listen("127.0.0.1", 0)) as listening:
        create_connection(listening.getsockname(), timeout=5).close()


@pytest.mark.parametrize(
    ("options", "lifetimes"),
    [((), (7_200, 15_552_000)), (("--access-seconds", "86400", "--refresh-seconds", "31536000"), (86_400, 31_536_000))],
    ids=["two hours and 180 days", "a day and a year"],
)
def test_tokens_have_the_lifetimes_of_its_options(
    tmp_path: Path, options: tuple[str, ...], lifetimes: tuple[int, int]
) -> None:
    with start_command(tmp_path, "sandbox", "--port", "0", *CLIENT_OPTIONS, *options) as sandbox:
        url = sandbox.first_line().split()[-1]
        with httpx.Client(base_url=url) as http:
            consent = http.get(AUTHORIZE_PATH, params={**AUTHORIZATION_PARAMETERS, "sandbox_user": "ann"})
            code = parse_qs(urlsplit(consent.headers["location"]).query)["code"][0]
            form = {**CREDENTIALS, "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
            granted = http.post(TOKEN_PATH, data=form).json()
            assert "ann" in http.get("/sandbox/").text
        assert (granted["expires_in"], granted["refresh_expires_in"]) == lifetimes
        assert sandbox.end(signal.SIGINT) == 0
    assert "Traceback" not in sandbox.err.read_text()
