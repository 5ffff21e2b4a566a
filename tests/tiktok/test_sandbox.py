"""The sandbox, as strict as TikTok's pages."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tiktok_accounts_gql.sandbox.app import Sandbox, create_sandbox
from tiktok_accounts_gql.sandbox.defaults import ACCESS_TOKEN_SECONDS, REFRESH_TOKEN_SECONDS
from tiktok_accounts_gql.sandbox.server import SandboxServer
from tiktok_accounts_gql.sandbox.state import CODE_SECONDS
from tiktok_accounts_gql.sandbox.users import SECONDS_PER_DAY, SandboxUser

AUTHORIZE, TOKEN, REVOKE, USER_INFO = "/v2/auth/authorize/", "/v2/oauth/token/", "/v2/oauth/revoke/", "/v2/user/info/"
REDIRECT_URI = "http://localhost:8000/back"
CREDENTIALS = {"client_key": "key-1", "client_secret": "secret-1"}
SCOPES = "user.info.basic,user.info.profile,user.info.stats"
NOON = 1_795_521_600.0


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, kw_only=True)
class ClockedApp:
    """An app that calls the sandbox with its own HTTP client."""

    http: httpx.Client
    clock: Clock
    sandbox: Sandbox

    def authorize(self, **changes: str) -> httpx.Response:
        parameters = {
            "client_key": "key-1",
            "response_type": "code",
            "scope": SCOPES,
            "redirect_uri": REDIRECT_URI,
            "state": "state-1",
            "disable_auto_auth": "1",
            "sandbox_user": "ann",
            **changes,
        }
        return self.http.get(AUTHORIZE, params=parameters)

    def consent(self, **changes: str) -> dict[str, str]:
        answer = self.authorize(**changes)
        assert answer.status_code == 302, answer.text
        assert answer.headers["location"].startswith(f"{REDIRECT_URI}?")
        return {name: value for name, [value] in parse_qs(urlsplit(answer.headers["location"]).query).items()}

    def exchange(self, code: str, **changes: str) -> httpx.Response:
        form = {
            **CREDENTIALS,
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            **changes,
        }
        return self.http.post(TOKEN, data=form)

    def grant(self, **changes: str) -> dict[str, Any]:
        answer = self.exchange(self.consent(**changes)["code"])
        assert answer.status_code == 200, answer.text
        granted: dict[str, Any] = answer.json()
        return granted

    def refresh(self, refresh_token: str, **changes: str) -> httpx.Response:
        form = {**CREDENTIALS, "grant_type": "refresh_token", "refresh_token": refresh_token, **changes}
        return self.http.post(TOKEN, data=form)

    def revoke(self, token: str, **changes: str) -> httpx.Response:
        return self.http.post(REVOKE, data={**CREDENTIALS, "token": token, **changes})

    def user_info(self, token: str, fields: str = "open_id") -> httpx.Response:
        return self.http.get(USER_INFO, params={"fields": fields}, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def served() -> Iterator[ClockedApp]:
    clock = Clock()
    sandbox = create_sandbox(client_key="key-1", client_secret="secret-1", clock=clock)
    with SandboxServer(sandbox) as url, httpx.Client(base_url=url) as http, sandbox.state:
        yield ClockedApp(http=http, clock=clock, sandbox=sandbox)


@pytest.fixture
def app(served: ClockedApp) -> ClockedApp:
    """Return the app an hour after the last test: its quota is unused."""
    served.clock.now += 3600
    return served


def oauth_error(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"error", "error_description", "log_id"}
    assert body["log_id"]
    return answer.status_code, body["error"]


def open_api_error(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "log_id"}
    assert error["log_id"]
    return answer.status_code, error["code"]


def test_a_consent_comes_back_with_a_code_for_tokens(app: ClockedApp) -> None:
    back = app.consent()
    assert (back["state"], back["scopes"], set(back)) == ("state-1", SCOPES, {"code", "state", "scopes"})
    granted = app.exchange(back["code"]).json()
    assert granted.pop("access_token").startswith("act.")
    assert granted.pop("refresh_token").startswith("rft.")
    assert granted == {
        "open_id": "ann",
        "scope": SCOPES,
        "token_type": "Bearer",
        "expires_in": ACCESS_TOKEN_SECONDS,
        "refresh_expires_in": REFRESH_TOKEN_SECONDS,
    }


def test_a_denial_comes_back_with_the_state(app: ClockedApp) -> None:
    back = app.consent(sandbox_deny="1")
    assert (back["error"], back["state"]) == ("access_denied", "state-1")
    assert "code" not in back


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "user.info.basic,video.list"},
        {"scope": ""},
        {"client_key": "another"},
        {"client_key": ""},
        {"response_type": "token"},
        {"redirect_uri": ""},
        {"state": ""},
    ],
    ids=str,
)
def test_a_wrong_request_gets_no_consent(app: ClockedApp, changes: dict[str, str]) -> None:
    answer = app.authorize(**changes)
    assert (answer.status_code, "location" in answer.headers) == (400, False)


def test_fewer_scopes_may_be_granted_than_asked_for(app: ClockedApp) -> None:
    back = app.consent(sandbox_scopes="user.info.basic")
    assert back["scopes"] == "user.info.basic"
    assert app.exchange(back["code"]).json()["scope"] == "user.info.basic"


def test_a_json_body_is_refused(app: ClockedApp) -> None:
    code = app.consent()["code"]
    form = {**CREDENTIALS, "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
    assert app.http.post(TOKEN, json=form).status_code >= 400
    assert app.exchange(code).status_code == 200


def test_a_code_works_once(app: ClockedApp) -> None:
    code = app.consent()["code"]
    assert app.exchange(code).status_code == 200
    assert oauth_error(app.exchange(code)) == (400, "invalid_grant")


def test_a_code_lives_for_minutes(app: ClockedApp) -> None:
    early, late = app.consent()["code"], app.consent()["code"]
    app.clock.now += CODE_SECONDS - 1
    assert app.exchange(early).status_code == 200
    app.clock.now += 1
    assert oauth_error(app.exchange(late)) == (400, "invalid_grant")


def test_an_exchange_names_the_redirect_uri_of_the_consent(app: ClockedApp) -> None:
    assert oauth_error(app.exchange(app.consent()["code"], redirect_uri=f"{REDIRECT_URI}/")) == (400, "invalid_grant")


def test_an_invented_code_is_an_invalid_grant(app: ClockedApp) -> None:
    assert oauth_error(app.exchange("invented")) == (400, "invalid_grant")


def test_another_grant_type_is_unsupported(app: ClockedApp) -> None:
    assert oauth_error(app.exchange("code", grant_type="password")) == (400, "unsupported_grant_type")


@pytest.mark.parametrize("wrong", [{"client_secret": "another"}, {"client_secret": ""}, {"client_key": "another"}])
def test_wrong_credentials_are_an_invalid_client_and_cost_nothing(app: ClockedApp, wrong: dict[str, str]) -> None:
    code = app.consent()["code"]
    assert oauth_error(app.exchange(code, **wrong)) == (401, "invalid_client")
    granted = app.exchange(code).json()
    assert oauth_error(app.refresh(granted["refresh_token"], **wrong)) == (401, "invalid_client")
    assert oauth_error(app.revoke(granted["access_token"], **wrong)) == (401, "invalid_client")
    assert app.user_info(granted["access_token"]).status_code == 200


def test_a_challenge_is_the_hex_of_the_verifier(app: ClockedApp) -> None:
    verifier = "v" * 43
    challenge = sha256(verifier.encode()).hexdigest()
    good, wrong, missing = (
        app.consent(code_challenge=challenge, code_challenge_method="S256")["code"] for _ in range(3)
    )
    assert app.exchange(good, code_verifier=verifier).status_code == 200
    assert oauth_error(app.exchange(wrong, code_verifier="w" * 43)) == (400, "invalid_grant")
    assert oauth_error(app.exchange(missing)) == (400, "invalid_grant")


def test_a_challenge_in_base64url_fails_at_the_exchange(app: ClockedApp) -> None:
    verifier = "v" * 43
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    code = app.consent(code_challenge=challenge, code_challenge_method="S256")["code"]
    assert oauth_error(app.exchange(code, code_verifier=verifier)) == (400, "invalid_grant")


def test_a_refresh_rotates_both_tokens(app: ClockedApp) -> None:
    old = app.grant()
    new = app.refresh(old["refresh_token"]).json()
    assert len({old["access_token"], old["refresh_token"], new["access_token"], new["refresh_token"]}) == 4
    assert oauth_error(app.refresh(old["refresh_token"])) == (400, "invalid_grant")
    assert app.user_info(new["access_token"]).status_code == 200
    assert app.refresh(new["refresh_token"]).status_code == 200


def test_an_access_token_runs_out(app: ClockedApp) -> None:
    granted = app.grant()
    app.clock.now += ACCESS_TOKEN_SECONDS - 1
    assert app.user_info(granted["access_token"]).status_code == 200
    app.clock.now += 1
    assert open_api_error(app.user_info(granted["access_token"])) == (401, "access_token_invalid")
    assert app.refresh(granted["refresh_token"]).status_code == 200


def test_a_refresh_token_runs_out(app: ClockedApp) -> None:
    granted = app.grant()
    app.clock.now += REFRESH_TOKEN_SECONDS
    assert oauth_error(app.refresh(granted["refresh_token"])) == (400, "invalid_grant")


def test_a_revocation_ends_all_tokens(app: ClockedApp) -> None:
    granted = app.grant()
    revoked = app.revoke(granted["access_token"])
    assert (revoked.status_code, revoked.json()) == (200, {})
    assert open_api_error(app.user_info(granted["access_token"])) == (401, "access_token_invalid")
    assert oauth_error(app.refresh(granted["refresh_token"])) == (400, "invalid_grant")
    assert oauth_error(app.revoke(granted["access_token"])) == (400, "invalid_grant")


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer act.invented"}, {"Authorization": "Basic x"}])
def test_without_a_valid_token_nothing_is_read(app: ClockedApp, header: dict[str, str]) -> None:
    answer = app.http.get(USER_INFO, params={"fields": "open_id"}, headers=header)
    assert open_api_error(answer) == (401, "access_token_invalid")


def test_fields_beyond_the_granted_scopes_are_refused(app: ClockedApp) -> None:
    token = app.grant(sandbox_scopes="user.info.basic")["access_token"]
    assert app.user_info(token, "open_id,display_name").status_code == 200
    refused = app.user_info(token, "open_id,follower_count")
    assert open_api_error(refused) == (400, "scope_permission_missed")
    assert open_api_error(app.user_info(token, "username")) == (400, "scope_permission_missed")


@pytest.mark.parametrize("fields", ["", "open_id,password", "open_id display_name"])
def test_unknown_fields_are_refused(app: ClockedApp, fields: str) -> None:
    assert open_api_error(app.user_info(app.grant()["access_token"], fields)) == (400, "invalid_params")


def test_user_info_has_exactly_the_requested_fields(app: ClockedApp) -> None:
    answer = app.user_info(app.grant()["access_token"], "open_id,avatar_url_100,likes_count").json()
    assert set(answer["data"]["user"]) == {"open_id", "avatar_url_100", "likes_count"}
    assert (answer["error"]["code"], answer["error"]["message"]) == ("ok", "")
    assert answer["error"]["log_id"]


def test_600_calls_a_sliding_minute_and_endpoint_are_answered(app: ClockedApp) -> None:
    token = app.grant()["access_token"]
    for _ in range(600):
        app.clock.now += 1 / 16
        assert app.user_info(token).status_code == 200
    assert open_api_error(app.user_info(token)) == (429, "rate_limit_exceeded")
    assert oauth_error(app.exchange("invented")) == (400, "invalid_grant")
    app.clock.now += 60 - 599 / 16
    assert app.user_info(token).status_code == 200
    assert app.user_info(token).status_code == 429


def test_a_quota_of_the_token_endpoint_has_its_own_error_format(app: ClockedApp) -> None:
    for _ in range(600):
        app.exchange("invented")
    assert oauth_error(app.exchange("invented")) == (429, "rate_limit_exceeded")


def test_users_are_always_the_same() -> None:
    assert SandboxUser.of("ann") == SandboxUser.of("ann")
    assert SandboxUser.of("ann").counters_at(NOON) == SandboxUser.of("ann").counters_at(NOON)
    people = [SandboxUser.of(f"user-{number}") for number in range(50)]
    assert len({person.username for person in people}) == len({person.union_id for person in people}) == 50


def test_counters_grow_from_day_to_day() -> None:
    for person in (SandboxUser.of(f"user-{number}") for number in range(20)):
        days = [person.counters_at(NOON + day * SECONDS_PER_DAY) for day in range(365)]
        for counter in ("follower_count", "likes_count", "video_count"):
            counts = [getattr(day, counter) for day in days]
            assert counts == sorted(counts)
            assert counts[-1] > counts[0]


def test_grants_survive_a_restart(tmp_path: Path) -> None:
    def start() -> Sandbox:
        path = tmp_path / "sandbox.db"
        return create_sandbox(client_key="key-1", client_secret="secret-1", path=path, clock=Clock())

    def run(sandbox: Sandbox) -> Iterator[ClockedApp]:
        with SandboxServer(sandbox) as url, httpx.Client(base_url=url) as http, sandbox.state:
            yield ClockedApp(http=http, clock=Clock(), sandbox=sandbox)

    for app in run(start()):
        granted, code = app.grant(), app.consent(sandbox_user="ben")["code"]
    for app in run(start()):
        assert app.user_info(granted["access_token"]).json()["data"]["user"]["open_id"] == "ann"
        rotated = app.refresh(granted["refresh_token"]).json()
        assert app.exchange(code).json()["open_id"] == "ben"
    for app in run(start()):
        assert oauth_error(app.refresh(granted["refresh_token"])) == (400, "invalid_grant")
        assert app.refresh(rotated["refresh_token"]).status_code == 200
        assert [call.path for call in app.sandbox.state.list_calls(USER_INFO)] == [USER_INFO]
