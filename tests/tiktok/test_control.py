"""The sandbox's own API: faults, calls, grants, counts; and the page that offers them."""

import json
import math
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from tests.tiktok.sandbox_app import App, run_sandbox
from tiktok_accounts_gql.sandbox.faults import LARGE_BYTES, FaultKind
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH, USER_INFO_PATH


@pytest.fixture(scope="module")
def served() -> Iterator[App]:
    with run_sandbox() as app:
        yield app


@pytest.fixture
def app(served: App) -> Iterator[App]:
    yield served
    served.sandbox.faults.clear()


def add(app: App, **fault: Any) -> None:
    answer = app.http.post("/sandbox/faults", json=fault)
    assert answer.status_code == 201, answer.text


def list_calls(app: App, **filters: Any) -> list[dict[str, Any]]:
    recorded: list[dict[str, Any]] = app.http.get("/sandbox/calls", params=filters).json()["calls"]
    return recorded


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "rate_limited", "retry_after": 7}, 429, "rate_limit_exceeded"),
        ({"kind": "unauthorized"}, 401, "access_token_invalid"),
        ({"kind": "server_error"}, 500, "internal_error"),
        ({"kind": "server_error", "status": 503}, 503, "internal_error"),
        ({"kind": "missing_scope"}, 401, "scope_not_authorized"),
    ],
    ids=str,
)
def test_an_error_has_the_format_of_tiktok(app: App, fault: dict[str, Any], status: int, code: str) -> None:
    token = app.grant("ann")["access_token"]
    add(app, **fault, times=1)
    answer = app.user_info(token)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers.get("retry-after") == ("7" if "retry_after" in fault else None)
    assert app.user_info(token).status_code == 200


@pytest.mark.parametrize(("kind", "media_type"), [("html", "text/html"), ("cut_off", "application/json")])
def test_a_reply_that_is_not_json_has_status_200(app: App, kind: str, media_type: str) -> None:
    token = app.grant("ann")["access_token"]
    add(app, kind=kind)
    answer = app.user_info(token)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, media_type)
    with pytest.raises(ValueError, match=r"."):
        answer.json()


def test_a_reset_comes_before_anything_happens(app: App) -> None:
    granted = app.grant("ann")
    add(app, kind="reset", times=1)
    with pytest.raises(httpx.TransportError):
        app.refresh(granted["refresh_token"])
    assert app.refresh(granted["refresh_token"]).status_code == 200


def test_a_lost_reply_is_of_a_refresh_that_happened(app: App) -> None:
    granted = app.grant("lost")
    add(app, kind="reply_lost", path=TOKEN_PATH, open_id="lost", times=1)
    with pytest.raises(httpx.TransportError):
        app.refresh(granted["refresh_token"])
    assert app.refresh(granted["refresh_token"]).json()["error"] == "invalid_grant"
    [counts] = app.http.get("/sandbox/truth", params={"open_id": "lost"}).json()["accounts"]
    assert (counts["refreshes"], counts["invalid_grants"]) == (1, 1)


def test_the_reply_of_a_call_that_is_refused_is_lost_as_well(app: App) -> None:
    add(app, kind="reply_lost", times=1)
    with pytest.raises(httpx.TransportError):
        app.refresh("invented")
    assert app.refresh("invented").json()["error"] == "invalid_grant"


def test_a_slow_reply_drips_and_is_complete(app: App) -> None:
    token = app.grant("ann")["access_token"]
    add(app, kind="slow", seconds=0.3)
    with app.http.stream(
        "GET", USER_INFO_PATH, params={"fields": "open_id"}, headers={"Authorization": f"Bearer {token}"}
    ) as reply:
        chunks = list(reply.iter_raw())
    assert len(chunks) > 5
    assert b'"open_id":"ann"' in b"".join(chunks)
    assert reply.elapsed.total_seconds() >= 0.3


def test_a_large_reply_has_50_megabytes(app: App) -> None:
    token = app.grant("ann")["access_token"]
    add(app, kind="large", times=2)
    assert len(app.user_info(token).content) == LARGE_BYTES
    with app.http.stream("GET", USER_INFO_PATH, headers={"Authorization": f"Bearer {token}"}) as reply:
        next(reply.iter_raw())  # the client closes the connection, and the sandbox goes on
    assert app.user_info(token).status_code == 200


def test_every_kind_can_be_added_listed_and_cleared(app: App) -> None:
    for kind in FaultKind:
        add(app, kind=kind.value)
    assert [fault["kind"] for fault in app.http.get("/sandbox/faults").json()["faults"]] == list(FaultKind)
    assert app.http.delete("/sandbox/faults").status_code == 200
    assert app.http.get("/sandbox/faults").json() == {"faults": []}


def test_a_fault_may_be_about_the_next_calls_of_one_account(app: App) -> None:
    ann, ben = app.grant("ann")["access_token"], app.grant("ben")["access_token"]
    add(app, kind="server_error", open_id="ben", times=2)
    assert [app.user_info(token).status_code for token in (ann, ben, ann, ben, ben)] == [200, 500, 200, 500, 200]


def test_a_fault_may_hit_a_share_and_the_same_calls_for_the_same_seed(app: App) -> None:
    token = app.grant("ann")["access_token"]

    def statuses(seed: int) -> list[int]:
        app.http.delete("/sandbox/faults")
        add(app, kind="server_error", share=0.3, seed=seed)
        return [app.user_info(token).status_code for _ in range(60)]

    first = statuses(1)
    assert 8 <= first.count(500) <= 30
    assert statuses(1) == first
    assert statuses(2) != first


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": "fire"}, "kind"),
        ({"kind": "slow", "share": 2}, "share"),
        ({"kind": "slow", "share": 0}, "share"),
        ({"kind": "slow", "times": 0}, "times"),
        ({"kind": "slow", "path": "/v2/other/"}, "path"),
        ({"kind": "slow", "colour": "red"}, "colour"),
        ("{", ""),
        ([], ""),
    ],
    ids=str,
)
def test_an_invalid_body_is_reported_by_field(app: App, body: Any, field: str) -> None:
    sent = {"content": body} if isinstance(body, str) else {"json": body}
    answer = app.http.post("/sandbox/faults", **sent)
    assert answer.status_code == 400
    [problem] = answer.json()["errors"]
    assert problem["field"] == field
    assert problem["message"]
    assert app.http.get("/sandbox/faults").json() == {"faults": []}


@pytest.mark.parametrize("reason", [6, -1, "none"])
def test_a_webhook_has_a_reason_that_tiktok_knows(app: App, reason: Any) -> None:
    assert app.http.post("/sandbox/webhooks", json={"open_id": "ann", "reason": reason}).status_code == 400


def test_calls_are_recorded_with_their_time(app: App) -> None:
    granted = app.grant("carol")
    app.user_info(granted["access_token"])
    app.refresh(granted["refresh_token"])
    recorded = list_calls(app, open_id="carol")
    assert [(call["path"], call["kind"], call["status"]) for call in recorded] == [
        (TOKEN_PATH, "authorization_code", 200),
        (USER_INFO_PATH, None, 200),
        (TOKEN_PATH, "refresh_token", 200),
    ]
    assert list_calls(app, open_id="carol", path=USER_INFO_PATH) == recorded[1:2]
    assert list_calls(app, open_id="carol", kind="refresh_token") == recorded[2:]
    assert list_calls(app, open_id="carol", since=recorded[1]["time"]) == recorded[1:]
    assert list_calls(app, open_id="carol", limit=1) == recorded[2:]
    assert app.http.get("/sandbox/calls", params={"since": "noon"}).status_code == 400


def test_counts_include_old_tokens_that_were_used_again(app: App) -> None:
    granted = app.grant("dora")
    old = granted["refresh_token"]
    assert [app.refresh(old).status_code for _ in range(3)] == [200, 400, 400]
    [counts] = app.http.get("/sandbox/truth", params={"open_id": "dora"}).json()["accounts"]
    assert counts == {"open_id": "dora", "refreshes": 1, "invalid_grants": 2, "user_infos": 0, "revocations": 0}


def test_grants_are_listed_without_their_tokens(app: App) -> None:
    granted = app.grant("ann")
    answer = app.http.get("/sandbox/grants")
    assert answer.json()["grants"][0]["open_id"] == "ann"
    assert granted["access_token"] not in answer.text
    assert granted["refresh_token"] not in answer.text


def test_an_access_token_can_be_made_to_expire(app: App) -> None:
    granted = app.grant("ann")
    assert app.http.post("/sandbox/grants/ann/expire").json()["access_expires_at"] == 0
    assert app.user_info(granted["access_token"]).status_code == 401
    assert app.refresh(granted["refresh_token"]).status_code == 200


@pytest.mark.parametrize("action", ["revoke", "ban"])
def test_a_grant_can_be_ended(app: App, action: str) -> None:
    granted = app.grant("ann")
    assert app.http.post(f"/sandbox/grants/ann/{action}").status_code == 200
    assert app.refresh(granted["refresh_token"]).json()["error"] == "invalid_grant"


def test_scopes_can_be_removed_scopes_but_for_the_basic_one(app: App) -> None:
    granted = app.grant("ann")
    path = "/sandbox/grants/ann/remove-scopes"
    assert app.http.post(path, json={"scopes": ["user.info.basic"]}).status_code == 400
    assert app.http.post(path, json={"scopes": ["user.info.stats"]}).status_code == 200
    assert app.user_info(granted["access_token"], "follower_count").status_code == 400
    assert app.refresh(granted["refresh_token"]).json()["scope"] == "user.info.basic,user.info.profile"


@pytest.mark.parametrize("action", ["expire", "revoke", "ban", "remove-scopes"])
def test_a_grant_that_is_not_there_is_not_found(app: App, action: str) -> None:
    assert app.http.post(f"/sandbox/grants/nobody/{action}", json={"scopes": ["user.info.stats"]}).status_code == 404


class Forms(HTMLParser):
    """The forms of a page: their actions with the names of their fields."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, set[str]]] = []
        self.scripts = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.scripts += tag == "script"
        if tag == "form":
            self.forms.append((attributes["action"] or "", set()))
        elif tag in ("input", "select"):
            self.forms[-1][1].add(attributes["name"] or "")


def test_the_page_shows_everything_and_its_forms_work(app: App) -> None:
    app.grant("eve")
    form = {"kind": "slow", "path": "", "open_id": "", "times": "2", "share": "1"}
    answer = app.http.post("/sandbox/faults", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sandbox/")
    page = app.http.get("/sandbox/").text
    forms = dict(Forms(page).forms)
    assert forms["/sandbox/faults"] == set(form)
    assert forms["/sandbox/webhooks"] <= {"open_id", "reason", "seconds_ago"}
    assert forms["/sandbox/grants/eve/remove-scopes"] == {"scopes"}
    assert "2 left" in page
    removed_scopes = {"scopes": "user.info.profile,user.info.stats"}
    assert app.http.post("/sandbox/grants/eve/remove-scopes", data=removed_scopes).status_code == 303
    assert app.sandbox.state.list_grants()[0].scopes == "user.info.basic"


def test_html_in_open_ids_is_escaped(app: App) -> None:
    hostile = '"><script>alert(1)</script>'
    token = app.grant(hostile)["access_token"]
    app.user_info(token)
    add(app, kind="slow", open_id=hostile, times=1)
    app.http.post("/sandbox/webhooks", json={"open_id": hostile, "keep_grant": True})
    assert Forms(app.http.get("/sandbox/").text).scripts == 0


def test_an_altered_reply_has_other_fields_and_its_call_is_carried_out(app: App) -> None:
    granted = app.grant("ann")
    add(
        app,
        kind="altered",
        path=TOKEN_PATH,
        open_id="ann",
        times=1,
        fields={"expires_in": "86400", "error.code": "ok"},
        raw={"refresh_expires_in": "NaN", "scope": '"half \\ud83d"'},
        remove=["open_id", "nothing.there"],
        status=418,
        headers={"Retry-After": "7"},
    )
    answer = app.refresh(granted["refresh_token"])
    assert (answer.status_code, answer.headers["retry-after"]) == (418, "7")
    body = json.loads(answer.text)
    assert (body["expires_in"], body["error"], body["scope"]) == ("86400", {"code": "ok"}, "half \ud83d")
    assert math.isnan(body["refresh_expires_in"])
    assert "open_id" not in body
    assert app.user_info(body["access_token"]).status_code == 200
    assert app.refresh(granted["refresh_token"]).json()["error"] == "invalid_grant"
    assert app.refresh(body["refresh_token"]).json()["open_id"] == "ann"


@pytest.mark.parametrize(
    ("body", "content"),
    [({"body": "<html>"}, b"<html>"), ({"body_base64": "//79"}, b"\xff\xfe\xfd"), ({"body": ""}, b"")],
    ids=["text", "bytes", "nothing"],
)
def test_an_altered_reply_may_be_anything(app: App, body: dict[str, str], content: bytes) -> None:
    token = app.grant("ann")["access_token"]
    add(app, kind="altered", path=USER_INFO_PATH, times=1, **body)
    assert app.user_info(token).content == content
    assert app.user_info(token).json()["data"]["user"] == {"open_id": "ann"}


@pytest.mark.parametrize("odd", [{"body_base64": "?"}, {"headers": {"X": "a\r\nb"}}, {"headers": {"X": "\u20ac"}}])
def test_an_impossible_reply_is_refused(app: App, odd: dict[str, Any]) -> None:
    answer = app.http.post("/sandbox/faults", json={"kind": "altered", **odd})
    assert (answer.status_code, len(answer.json()["errors"])) == (400, 1)
