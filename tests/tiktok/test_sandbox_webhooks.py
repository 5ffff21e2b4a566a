"""The webhooks that the sandbox sends."""

import hmac
import json
import time
from collections.abc import Iterator

import pytest

from tests.tiktok.sandbox_app import SECRET, App, WebhookServer, run_sandbox, run_webhook_server
from tiktok_accounts_gql.sandbox import webhooks
from tiktok_accounts_gql.sandbox.webhooks import RemovalReason


@pytest.fixture
def hook() -> Iterator[WebhookServer]:
    with run_webhook_server() as server:
        yield server


@pytest.fixture
def app(hook: WebhookServer) -> Iterator[App]:
    with run_sandbox(webhook_url=hook.url) as app:
        yield app


def parse_removal(body: bytes) -> tuple[str, int]:
    """Return the open id and the reason of a removal."""
    event = json.loads(body)
    assert set(event) == {"client_key", "event", "create_time", "user_openid", "content"}
    assert (event["client_key"], event["event"], type(event["create_time"])) == ("key-1", "authorization.removed", int)
    assert isinstance(event["content"], str)
    return event["user_openid"], json.loads(event["content"])["reason"]


@pytest.mark.parametrize("reason", range(6))
def test_a_removal_ends_the_grant_and_tells_the_app_why(app: App, hook: WebhookServer, reason: int) -> None:
    granted = app.grant("ann")
    answer = app.http.post("/sandbox/webhooks", json={"open_id": "ann", "reason": reason})
    assert [delivery["status"] for delivery in answer.json()["deliveries"]] == [200]
    assert [parse_removal(body) for _, body in hook.posts] == [("ann", reason)]
    assert app.user_info(granted["access_token"]).status_code == 401
    assert app.refresh(granted["refresh_token"]).json()["error"] == "invalid_grant"


def test_it_is_signed_with_the_client_secret_over_time_and_body(app: App, hook: WebhookServer) -> None:
    app.http.post("/sandbox/webhooks", json={"open_id": "ann"})
    [(headers, body)] = hook.posts
    time_part, _, signature_part = headers["TikTok-Signature"].partition(",")
    seconds, signature = time_part.removeprefix("t="), signature_part.removeprefix("s=")
    assert abs(time.time() - int(seconds)) < 10
    assert signature == hmac.digest(SECRET.encode(), seconds.encode() + b"." + body, "sha256").hex()


def test_a_revocation_by_the_app_has_reason_5(app: App, hook: WebhookServer) -> None:
    assert app.revoke(app.grant("ann")["access_token"]).status_code == 200
    hook.wait(1)
    assert [parse_removal(body) for _, body in hook.posts] == [("ann", RemovalReason.REVOKED_BY_DEVELOPER)]


def test_a_webhook_that_is_not_answered_200_is_sent_again_byte_by_byte(
    app: App, hook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "RETRY_AFTER_SECONDS", (0.01, 0.01, 0.01))
    hook.statuses = [500, 503]
    app.http.post("/sandbox/webhooks", json={"open_id": "ann"})
    hook.wait(3)
    assert len({body for _, body in hook.posts}) == 1
    sent = app.http.get("/sandbox/webhooks").json()["deliveries"]
    assert [delivery["status"] for delivery in sent[:2]] == [500, 503]


def test_a_webhook_may_be_sent_twice_and_late(app: App, hook: WebhookServer) -> None:
    granted, before = app.grant("ann"), int(time.time())
    late = {"open_id": "ann", "seconds_ago": 3600, "keep_grant": True, "repeat": 2}
    app.http.post("/sandbox/webhooks", json=late)
    [first, second] = [body for _, body in hook.posts]
    assert first == second
    assert before - 3600 <= json.loads(first)["create_time"] <= time.time() - 3600
    assert app.user_info(granted["access_token"]).status_code == 200


def test_an_app_that_is_down_is_no_failure_of_the_sandbox() -> None:
    with run_sandbox(webhook_url="http://127.0.0.1:9/") as app:
        app.grant("ann")
        [delivery] = app.http.post("/sandbox/grants/ann/revoke").json()["deliveries"]
    assert delivery["status"] is None


def test_without_a_url_nothing_is_sent() -> None:
    with run_sandbox() as app:
        app.grant("ann")
        assert app.http.post("/sandbox/grants/ann/ban").json() == {"deliveries": []}
        assert app.sandbox.state.find_grant("ann") is None
