"""Every reply of TikTok becomes a value or an error."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.tiktok.wire import CALL_NAMES, CALLS, EXCHANGE, REFRESH, REVOKE, USER_INFO, Call, answered
from tiktok_accounts_gql.tiktok.errors import (
    AccessTokenInvalid,
    AppMisconfigured,
    InvalidGrant,
    RateLimited,
    RequestRefused,
    ScopeNotGranted,
    TikTokError,
    Unavailable,
    UnreadableReply,
)
from tiktok_accounts_gql.tiktok.values import TikTokUser, TokenGrant

GRANT = {
    "access_token": "act.x",
    "expires_in": 7200,
    "open_id": "open-1",
    "refresh_expires_in": 15552000,
    "refresh_token": "rft.y",
    "scope": "user.info.basic,user.info.stats",
    "token_type": "Bearer",
}
USER = {
    "open_id": "open-1",
    "union_id": "union-1",
    "avatar_url": "https://p16.test/a?x-expires=1",
    "display_name": "Ann",
    "username": "ann",
    "bio_description": "",
    "is_verified": False,
    "profile_deep_link": "https://www.tiktok.com/@ann",
    "follower_count": 0,
    "following_count": 312,
    "likes_count": 2**63 - 1,
    "video_count": 87,
}
RFC_6749 = {
    "invalid_grant": InvalidGrant,
    "invalid_client": AppMisconfigured,
    "unauthorized_client": AppMisconfigured,
    "invalid_request": RequestRefused,
    "unsupported_grant_type": RequestRefused,
    "invalid_scope": RequestRefused,
    "access_denied": RequestRefused,
    "server_error": Unavailable,
    "temporarily_unavailable": Unavailable,
    "rate_limit_exceeded": RateLimited,
}
OPEN_API = {
    "access_token_invalid": (401, AccessTokenInvalid),
    "scope_not_authorized": (401, ScopeNotGranted),
    "scope_permission_missed": (400, ScopeNotGranted),
    "invalid_params": (400, RequestRefused),
    "rate_limit_exceeded": (429, RateLimited),
    "internal_error": (500, Unavailable),
    "something_new": (400, RequestRefused),
}
NO_ANSWERS = [b"not json", b'{"data":{"user":{"open', b"<html>maintenance</html>", b"[]", b'"ok"', b"null", b"\xff\xfe"]
every_call = pytest.mark.parametrize("call", CALLS, ids=CALL_NAMES)


def grant(**changes: Any) -> bytes:
    return json.dumps({**GRANT, **changes}).encode()


def date_in(seconds: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def user(**changes: Any) -> bytes:
    ok = {"code": "ok", "message": "", "log_id": "log-1"}
    return json.dumps({"data": {"user": {**USER, **changes}}, "error": ok}).encode()


async def failure(call: Call, status: int, body: bytes, **headers: str) -> TikTokError:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(TikTokError) as raised:
        await answered(call, status, body, sent)
    return raised.value


@pytest.mark.parametrize("call", [EXCHANGE, REFRESH], ids=["exchange", "refresh"])
async def test_a_complete_token_reply_is_a_grant(call: Call) -> None:
    assert await answered(call, 200, grant()) == TokenGrant(
        open_id="open-1",
        access_token="act.x",
        expires_in=7200,
        refresh_token="rft.y",
        refresh_expires_in=15552000,
        scopes=frozenset({"user.info.basic", "user.info.stats"}),
    )


@pytest.mark.parametrize("nothing", ["", None, "left out"])
@pytest.mark.parametrize("name", ["refresh_token", "scope"])
async def test_what_a_token_reply_lacks_is_none(name: str, nothing: str | None) -> None:
    body = {**GRANT, name: nothing}
    if nothing == "left out":
        del body[name]
    granted = await answered(REFRESH, 200, json.dumps(body).encode())
    assert {"refresh_token": granted.refresh_token, "scope": granted.scopes}[name] is None


@pytest.mark.parametrize("body", [grant(refresh_expires_in=None), grant(refresh_expires_in=0)])
async def test_a_lifetime_that_is_not_told_is_none(body: bytes) -> None:
    assert (await answered(REFRESH, 200, body)).refresh_expires_in is None


@pytest.mark.parametrize("seconds", [-(2**62), 2**62])
async def test_an_impossible_lifetime_does_not_cost_the_new_tokens(seconds: int) -> None:
    granted = await answered(REFRESH, 200, grant(expires_in=seconds, refresh_expires_in=seconds))
    assert granted.access_token == "act.x"
    assert datetime.now(UTC) + timedelta(seconds=granted.expires_in)
    assert datetime.now(UTC) + timedelta(seconds=granted.refresh_expires_in or 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 5},
        {"open_id": None},
        {"open_id": ["a"]},
        {"expires_in": "7200"},
        {"expires_in": True},
        {"refresh_expires_in": 1.5},
        {"refresh_token": {}},
        {"scope": ["user.info.basic"]},
    ],
)
async def test_a_token_reply_of_other_types_is_no_answer(changes: dict[str, Any]) -> None:
    assert isinstance(await failure(REFRESH, 200, grant(**changes)), UnreadableReply)


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize(("code", "kind"), RFC_6749.items())
@pytest.mark.parametrize("call", [EXCHANGE, REFRESH, REVOKE], ids=["exchange", "refresh", "revoke"])
async def test_an_oauth_error_counts_under_any_status(
    call: Call, code: str, kind: type[TikTokError], status: int
) -> None:
    body = {"error": code, "error_description": "says TikTok", "log_id": "log-1"}
    error = await failure(call, status, json.dumps(body).encode())
    assert (type(error), error.log_id) == (kind, "log-1")


async def test_an_error_beside_tokens_is_an_error() -> None:
    assert isinstance(await failure(REFRESH, 200, grant(error="invalid_grant")), InvalidGrant)


@pytest.mark.parametrize("inside_a_200", [False, True])
@pytest.mark.parametrize(("code", "status", "kind"), [(code, *rest) for code, rest in OPEN_API.items()])
async def test_an_error_of_the_open_api_counts_under_any_status(
    code: str, status: int, kind: type[TikTokError], inside_a_200: bool
) -> None:
    body = {"data": {}, "error": {"code": code, "message": "says TikTok", "log_id": "log-1"}}
    error = await failure(USER_INFO, 200 if inside_a_200 else status, json.dumps(body).encode())
    assert (type(error), error.log_id) == (kind, "log-1")


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_a_status_of_failure_beside_an_ok_is_a_failure(status: int) -> None:
    await failure(USER_INFO, status, user())
    await failure(REFRESH, status, grant())


@pytest.mark.parametrize("body", NO_ANSWERS)
@pytest.mark.parametrize("status", [200, 400, 401, 404, 500, 503])
@every_call
async def test_what_is_no_object_is_no_answer(call: Call, status: int, body: bytes) -> None:
    assert isinstance(await failure(call, status, body), Unavailable if status >= 500 else UnreadableReply)


@pytest.mark.parametrize("status", [200, 400, 401, 500, 503])
@pytest.mark.parametrize("call", [EXCHANGE, REFRESH, USER_INFO], ids=["exchange", "refresh", "user_info"])
async def test_an_empty_reply_is_no_answer(call: Call, status: int) -> None:
    assert isinstance(await failure(call, status, b""), Unavailable if status >= 500 else UnreadableReply)


@pytest.mark.parametrize("body", [b"", b"{}", b"\n"])
async def test_an_empty_reply_to_a_revocation_is_its_success(body: bytes) -> None:
    assert await answered(REVOKE, 200, body) is None
    assert isinstance(await failure(REVOKE, 500, body), Unavailable)


@every_call
async def test_a_failure_of_tiktok_passes_whatever_it_says(call: Call) -> None:
    body = {"error": {"code": "access_token_invalid"}} if call is USER_INFO else {"error": "invalid_grant"}
    assert isinstance(await failure(call, 503, json.dumps(body).encode()), Unavailable)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        (lambda: "7", 7),
        (lambda: "0", 0),
        (lambda: date_in(300), 300),
        (lambda: date_in(-300), 0),
    ],
    ids=["seconds", "no seconds", "date", "past date"],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error":"rate_limit_exceeded"}'])
async def test_a_rate_limit_tells_when_to_come_back(
    body: bytes, retry_after: Callable[[], str], seconds: float
) -> None:
    error = await failure(REFRESH, 429, body, Retry_After=retry_after())
    assert isinstance(error, RateLimited)
    assert error.retry_after == pytest.approx(seconds, abs=60)


@pytest.mark.parametrize(
    "retry_after",
    ["soon", "-5", "1.5", "7 s", "Wed, 99 Nov 2026 09:00:00 GMT", "Tue, 24 Nov 99999999999999999999 09:00:00 GMT", ""],
)
async def test_a_retry_after_that_says_nothing_is_none(retry_after: str) -> None:
    error = await failure(USER_INFO, 429, b"", Retry_After=retry_after)
    assert (type(error), error.retry_after) == (RateLimited, None)


@pytest.mark.parametrize("retry_after", ["9" * 400, "99999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_a_retry_after_beyond_a_day_is_a_day(retry_after: str) -> None:
    error = await failure(USER_INFO, 429, b"", Retry_After=retry_after)
    assert error.retry_after == timedelta(days=1).total_seconds()


async def test_a_rate_limit_without_retry_after_is_one() -> None:
    error = await failure(USER_INFO, 429, b"")
    assert (type(error), error.retry_after) == (RateLimited, None)


async def test_a_complete_user_is_an_account_and_a_zero_stays_a_zero() -> None:
    assert await answered(USER_INFO, 200, user()) == TikTokUser(
        open_id="open-1",
        union_id="union-1",
        display_name="Ann",
        username="ann",
        avatar_url="https://p16.test/a?x-expires=1",
        bio_description="",
        profile_url="https://www.tiktok.com/@ann",
        is_verified=False,
        follower_count=0,
        following_count=312,
        likes_count=2**63 - 1,
        video_count=87,
    )


async def test_what_a_user_lacks_is_none() -> None:
    body = {"data": {"user": {"open_id": "open-1"}}, "error": {"code": "ok"}}
    assert await answered(USER_INFO, 200, json.dumps(body).encode()) == TikTokUser(open_id="open-1")


@pytest.mark.parametrize("wrong", [-1, 2**63, 2**70, True, "12", 1.5, [1], {}], ids=repr)
@pytest.mark.parametrize("name", ["follower_count", "following_count", "likes_count", "video_count"])
async def test_a_counter_that_is_none_is_no_answer(name: str, wrong: Any) -> None:
    assert isinstance(await failure(USER_INFO, 200, user(**{name: wrong})), UnreadableReply)


@pytest.mark.parametrize(
    "changes",
    [{"open_id": None}, {"open_id": ""}, {"open_id": 7}, {"display_name": 7}, {"username": []}, {"is_verified": 0}],
)
async def test_a_user_of_other_types_is_no_answer(changes: dict[str, Any]) -> None:
    assert isinstance(await failure(USER_INFO, 200, user(**changes)), UnreadableReply)


@pytest.mark.parametrize("body", [b"{}", b'{"data":[]}', b'{"data":{"user":null}}', b'{"data":{"user":7}}'])
async def test_a_reply_without_a_user_is_no_answer(body: bytes) -> None:
    assert isinstance(await failure(USER_INFO, 200, body), UnreadableReply)


@pytest.mark.parametrize("error", [b'"ok"', b'{"code":5}', b"[]"])
async def test_an_envelope_of_other_types_is_no_answer(error: bytes) -> None:
    assert isinstance(await failure(USER_INFO, 200, b'{"data":{},"error":' + error + b"}"), UnreadableReply)
