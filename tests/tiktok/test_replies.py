"""Every reply of TikTok becomes a value or an error."""

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiktok.wire import (
    CALL_NAMES,
    CALLS,
    EXCHANGE,
    REFRESH,
    REVOKE,
    USER_INFO,
    USER_INFO_OF_ALL,
    Call,
    call_with_reply,
)
from tiktok_accounts_gql.tiktok import replies
from tiktok_accounts_gql.tiktok.errors import (
    AccessTokenInvalid,
    InvalidClient,
    InvalidGrant,
    RateLimited,
    RequestRefused,
    ScopeNotGranted,
    TikTokError,
    Unavailable,
    UnreadableReply,
)
from tiktok_accounts_gql.tiktok.replies import DEFAULT_LIFETIME, MAX_LIFETIME, MIN_LIFETIME, Reply
from tiktok_accounts_gql.tiktok.values import MAX_COUNTER, TikTokUser, TokenGrant

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
    "likes_count": MAX_COUNTER,
    "video_count": 87,
}
RFC_6749 = {
    "invalid_grant": InvalidGrant,
    "invalid_client": InvalidClient,
    "unauthorized_client": InvalidClient,
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
INVALID_BODIES = [
    b"not json",
    b'{"data":{"user":{"open',
    b"<html>maintenance</html>",
    b"[]",
    b'"ok"',
    b"null",
    b"\xff\xfe",
]
REQUESTED_SCOPES = frozenset({"user.info.basic", "user.info.stats"})
every_call = pytest.mark.parametrize("call", CALLS, ids=CALL_NAMES)


def grant(**changes: Any) -> bytes:
    return json.dumps({**GRANT, **changes}).encode()


def date_in(seconds: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def user(**changes: Any) -> bytes:
    ok = {"code": "ok", "message": "", "log_id": "log-1"}
    return json.dumps({"data": {"user": {**USER, **changes}}, "error": ok}).encode()


def none(*values: Any) -> list[tuple[Any, Any]]:
    """Return values that are parsed as None."""
    return [(value, None) for value in values]


def each(name: str, *values: Any) -> list[dict[str, Any]]:
    """Return bodies with one field, which has each of these values."""
    return [{name: value} for value in values]


async def failure(call: Call, status: int, body: bytes, **headers: str) -> TikTokError:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(TikTokError) as raised:
        await call_with_reply(call, status, body, sent)
    return raised.value


@pytest.mark.parametrize("call", [EXCHANGE, REFRESH], ids=["exchange", "refresh"])
async def test_a_complete_token_reply_is_a_grant(call: Call) -> None:
    assert await call_with_reply(call, 200, grant()) == TokenGrant(
        open_id="open-1",
        access_token="act.x",
        expires_in=7200,
        refresh_token="rft.y",
        refresh_expires_in=15552000,
        scopes=frozenset(["user.info.basic", "user.info.stats"]),
    )


@pytest.mark.parametrize("nothing", ["", None, "left out"])
@pytest.mark.parametrize("name", ["refresh_token", "scope"])
async def test_what_a_token_reply_lacks_is_none(name: str, nothing: str | None) -> None:
    body = {**GRANT, name: nothing}
    if nothing == "left out":
        del body[name]
    granted = await call_with_reply(REFRESH, 200, json.dumps(body).encode())
    assert {"refresh_token": granted.refresh_token, "scope": granted.scopes}[name] is None


LIFETIMES: list[tuple[Any, int | None]] = [
    (7200, 7200),
    ("7200", 7200),
    (" 7200 ", 7200),
    ("7200.0", 7200),
    (7200.0, 7200),
    (1, MIN_LIFETIME),
    (2**62, MAX_LIFETIME),
    (1e30, MAX_LIFETIME),
    *none("", None, 0, -1, -(2**62), 1.5, True, "soon", "9" * 99, [7200], {"in": 7200}),
]


@pytest.mark.parametrize(("value", "seconds"), LIFETIMES, ids=[repr(value)[:20] for value, _ in LIFETIMES])
async def test_a_lifetime_is_parsed_where_its_meaning_is_clear_and_has_a_minimum(
    value: Any, seconds: int | None
) -> None:
    granted = await call_with_reply(REFRESH, 200, grant(expires_in=value, refresh_expires_in=value))
    assert (granted.expires_in, granted.refresh_expires_in) == (seconds or DEFAULT_LIFETIME, seconds)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 5000, "1" + "0" * 30])
async def test_a_number_that_is_none_costs_no_token(number: str) -> None:
    body = grant(expires_in="here").replace(b'"here"', number.encode())
    granted = await call_with_reply(REFRESH, 200, body)
    assert (granted.access_token, granted.refresh_token) == ("act.x", "rft.y")
    assert granted.expires_in in (DEFAULT_LIFETIME, MAX_LIFETIME)


OTHER_FIELDS: list[dict[str, Any]] = [
    *each("error", None, "", "ok", {"code": "ok"}, {"code": 0}, {}, [], 0, "invalid_grant", {"code": "x"}),
    *each("open_id", None, "", [], {}, True, 1.5),
    *each("scope", None, "", [], {}, 7, "nothing.known", ["nothing.known"]),
    *each("refresh_token", {}, [], True, "a\nb", "\u00e9", "x" * 10_000),
    {"log_id": 12345},
    {"error_description": {"x": [1]}},
    {"token_type": None},
    {"x": "half \ud83d"},
]


@pytest.mark.parametrize("status", [200, 201, 302, 400, 401, 429, 500])
@pytest.mark.parametrize("other_fields", OTHER_FIELDS, ids=lambda other_fields: repr(other_fields)[:40])
async def test_an_access_token_is_a_success_whatever_stands_beside_it(
    other_fields: dict[str, Any], status: int
) -> None:
    assert (await call_with_reply(REFRESH, status, grant(**other_fields))).access_token == "act.x"


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        ("user.info.basic,user.info.stats", ["user.info.basic", "user.info.stats"]),
        ("user.info.basic user.info.stats", ["user.info.basic", "user.info.stats"]),
        (" user.info.basic ,\tuser.info.stats,, ", ["user.info.basic", "user.info.stats"]),
        (["user.info.basic", "user.info.stats"], ["user.info.basic", "user.info.stats"]),
        (["user.info.basic, user.info.stats", None, 7], ["user.info.basic", "user.info.stats"]),
        ("user.info.basic,video.list", ["user.info.basic", "video.list"]),
        ("video.list", None),
        ("userinfobasic", None),
        ({"user.info.basic": True}, None),
    ],
    ids=str,
)
async def test_scopes_are_split_at_commas_and_blanks_and_none_is_known_by_chance(
    scope: Any, scopes: list[str] | None
) -> None:
    granted = await call_with_reply(REFRESH, 200, grant(scope=scope))
    assert granted.scopes == (None if scopes is None else frozenset(scopes))


@pytest.mark.parametrize(
    ("value", "open_id"), [(7, "7"), (" open-1\n", "open-1"), ("x" * 256, ""), (["a"], ""), (None, "")]
)
async def test_the_open_id_of_a_grant_may_be_a_number_or_missing(value: Any, open_id: str) -> None:
    assert (await call_with_reply(EXCHANGE, 200, grant(open_id=value))).open_id == open_id


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"data": GRANT, "message": "success"}).encode(),
        b"\xef\xbb\xbf" + grant(),
        grant().decode().encode("utf-16"),
        grant().decode().encode("utf-16-le"),
        grant(x="y").replace(b'"y"', b'"\xff\xfe\x80"'),
        grant(x="y").replace(b'"y"', b'"\x01\n"'),
        grant() + b"\n<!-- 5 ms -->",
        b" \r\n" + grant(),
        grant(x="y").replace(b'"x": "y"', b'"access_token": null, "expires_in": ""'),
    ],
    ids=["nested", "mark", "utf-16", "utf-16-le", "broken bytes", "control", "more after", "blanks", "doubled keys"],
)
async def test_tokens_are_found_however_the_reply_is_written(body: bytes) -> None:
    granted = await call_with_reply(EXCHANGE, 200, body)
    assert (granted.access_token, granted.refresh_token, granted.expires_in) == ("act.x", "rft.y", 7200)


@pytest.mark.parametrize(
    "value", [None, "", " ", True, 1.5, [], {}, "a\nb", "a\r\nX: y", "\u00e9", "x" * 10_000, "a\0b"]
)
async def test_what_could_not_be_sent_back_is_no_access_token(value: Any) -> None:
    assert isinstance(await failure(REFRESH, 200, grant(access_token=value)), UnreadableReply)


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize(("code", "kind"), RFC_6749.items())
@pytest.mark.parametrize("call", [EXCHANGE, REFRESH, REVOKE], ids=["exchange", "refresh", "revoke"])
async def test_an_oauth_error_counts_under_any_status(
    call: Call, code: str, kind: type[TikTokError], status: int
) -> None:
    body = {"error": code, "error_description": "says TikTok", "log_id": "log-1"}
    error = await failure(call, status, json.dumps(body).encode())
    assert (type(error), error.log_id) == (kind, "log-1")


@pytest.mark.parametrize("inside_a_200", [False, True])
@pytest.mark.parametrize(("code", "status", "kind"), [(code, *rest) for code, rest in OPEN_API.items()])
async def test_an_error_of_the_open_api_counts_under_any_status(
    code: str, status: int, kind: type[TikTokError], inside_a_200: bool
) -> None:
    body = {"data": {}, "error": {"code": code, "message": "says TikTok", "log_id": "log-1"}}
    error = await failure(USER_INFO, 200 if inside_a_200 else status, json.dumps(body).encode())
    assert (type(error), error.log_id) == (kind, "log-1")


@pytest.mark.parametrize(("status", "kind"), [(302, UnreadableReply), (400, UnreadableReply), (500, Unavailable)])
async def test_a_status_of_failure_beside_a_user_is_a_failure(status: int, kind: type[TikTokError]) -> None:
    assert type(await failure(USER_INFO, status, user())) is kind


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"{}",
        b'{"error":"invalid_token"}',
        b'{"error":{"code":"internal_error"}}',
        b"\xff",
        user(),
    ],
)
async def test_a_401_is_a_refused_access_token_whatever_its_body(body: bytes) -> None:
    assert isinstance(await failure(USER_INFO, 401, body), AccessTokenInvalid)


async def test_a_401_that_cannot_be_read_is_a_refused_access_token() -> None:
    assert isinstance(await failure(USER_INFO, 401, b"x" * 2**21), AccessTokenInvalid)
    assert isinstance(await failure(USER_INFO, 401, gzip.compress(b"{}"), Content_Encoding="gzip"), AccessTokenInvalid)


def expected_error(call: Call, status: int) -> type[TikTokError]:
    """Return the class of the error for a reply that cannot be parsed, by its status."""
    if status >= 500:
        return Unavailable
    return AccessTokenInvalid if call is USER_INFO and status == 401 else UnreadableReply


DEEP = b"[" * 2**19
UNREADABLE = [
    *INVALID_BODIES,
    b"",
    b"{}",
    b'{"data":null}',
    b'{"a":' * 150_000,
    DEEP,
    DEEP + b"]" * 2**19,
    b"x" * 2**21,
]


@pytest.mark.parametrize("body", UNREADABLE, ids=lambda body: repr(body[:20]))
@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 500, 503])
@pytest.mark.parametrize("call", [EXCHANGE, REFRESH, USER_INFO], ids=["exchange", "refresh", "user_info"])
async def test_a_reply_that_cannot_be_read_is_none_and_a_5xx_is_silence(call: Call, status: int, body: bytes) -> None:
    error = await failure(call, status, body)
    assert type(error) is expected_error(call, status)
    assert error.ambiguous == (type(error) is not AccessTokenInvalid)


@pytest.mark.parametrize("status", [200, 404, 503])
@every_call
async def test_a_compressed_reply_is_not_unpacked(call: Call, status: int) -> None:
    if call is not REVOKE or status != 200:
        error = await failure(call, status, gzip.compress(b"{}"), Content_Encoding="gzip")
        assert type(error) is expected_error(call, status)


REVOKED = [b"", b"{}", b"\n", b"OK", b'"ok"', b"null", b"<html>", b"\xff", b'{"error":null}', b'{"error":""}']
REVOKED += [
    b'{"error":{"code":"ok"}}',
    b'{"error":{"code":0}}',
    b'{"error":{}}',
    b'{"error":"ok"}',
    b'{"data":{}}',
    DEEP,
]


@pytest.mark.parametrize("body", REVOKED, ids=lambda body: repr(body[:30]))
async def test_a_revocation_is_done_unless_a_code_says_otherwise(body: bytes) -> None:
    assert await call_with_reply(REVOKE, 200, body) is None
    assert isinstance(await failure(REVOKE, 500, body), Unavailable)
    assert isinstance(await failure(REVOKE, 302, body), UnreadableReply)


@every_call
async def test_a_5xx_is_temporary_whatever_its_body(call: Call) -> None:
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
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"error":"rate_limit_exceeded"}', b'{"error":{"code":"x"}}', b'{"error":["x"]}', b'{"error":7}'],
)
async def test_a_rate_limit_has_retry_after(body: bytes, retry_after: Callable[[], str], seconds: float) -> None:
    for call in CALLS:
        error = await failure(call, 429, body, Retry_After=retry_after())
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
    assert await call_with_reply(USER_INFO_OF_ALL, 200, user()) == TikTokUser(
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
        likes_count=MAX_COUNTER,
        video_count=87,
    )


async def test_what_a_user_lacks_is_none() -> None:
    body = {"data": {"user": {"open_id": "open-1"}}, "error": {"code": "ok"}}
    result = await call_with_reply(USER_INFO, 200, json.dumps(body).encode())
    assert result == TikTokUser(open_id="open-1", scopes=REQUESTED_SCOPES)


COUNTERS = ["follower_count", "following_count", "likes_count", "video_count"]
COUNTS: list[tuple[Any, int | None]] = [
    (0, 0),
    ("0", 0),
    (12.0, 12),
    ("12", 12),
    (" 12 ", 12),
    ("12.0", 12),
    (2**53 - 1, 2**53 - 1),
    (-0.0, 0),
    *none(-1, -977433948, "-5", 2**53, 2**63, 2**70, 1e30, True, 1.5, "", "12k", "1,234", [1], {}, None),
]


@pytest.mark.parametrize(("value", "count"), COUNTS, ids=[repr(value)[:20] for value, _ in COUNTS])
@pytest.mark.parametrize("name", COUNTERS)
async def test_a_counter_is_parsed_where_its_meaning_is_clear_and_costs_nothing_else(
    name: str, value: Any, count: int | None
) -> None:
    result = await call_with_reply(USER_INFO_OF_ALL, 200, user(**{name: value}))
    assert result == replace(await call_with_reply(USER_INFO_OF_ALL, 200, user()), **{name: count})


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400", "9" * 5000])
async def test_a_counter_that_json_does_not_know_is_none(number: str) -> None:
    body = user(likes_count="here").replace(b'"here"', number.encode())
    result = await call_with_reply(USER_INFO_OF_ALL, 200, body)
    assert result == replace(await call_with_reply(USER_INFO_OF_ALL, 200, user()), likes_count=None)


@pytest.mark.parametrize(
    ("value", "verified"),
    [
        *[(1, True), (0, False), ("true", True), ("False", False), ("1", True), (1.0, True)],
        *none(2, "yes", [], {}, None, -1),
    ],
    ids=str,
)
async def test_a_boolean_is_parsed_where_its_meaning_is_clear(value: Any, verified: bool | None) -> None:
    assert (await call_with_reply(USER_INFO_OF_ALL, 200, user(is_verified=value))).is_verified is verified


TEXTS: list[tuple[bytes, str | None]] = [
    (b'"Ann \\ud83d"', "Ann \ufffd"),
    (b'"\\ude00 Ann"', "\ufffd Ann"),
    (b'"\\ud83d\\ude00"', "\U0001f600"),
    (b'"Ann \xff"', "Ann \ufffd"),
    (b'"Ann \xed\xa0\xbd"', "Ann \ufffd\ufffd\ufffd"),
    (b'"A\\u0000nn"', "Ann"),
    (b"7", "7"),
    *none(b'""', b'" "', b'"\\u0000"', b"[]", b"{}", b"true", b"null", b"1.5", b'["Ann"]'),
]


@pytest.mark.parametrize(("value", "name"), TEXTS, ids=[repr(value) for value, _ in TEXTS])
async def test_a_name_is_parsed_as_far_as_possible(value: bytes, name: str | None) -> None:
    body = user(display_name="here").replace(b'"here"', value)
    result = await call_with_reply(USER_INFO_OF_ALL, 200, body)
    assert result == replace(await call_with_reply(USER_INFO_OF_ALL, 200, user()), display_name=name)


LINKS = [
    "javascript:alert(1)",
    "http://www.tiktok.com/@ann",
    "//www.tiktok.com/@ann",
    "https:www.tiktok.com",
    "https://",
]
LINKS += [
    "data:text/html,x",
    "https://a b",
    "https://a\nb",
    "https://user@evil.test/",
    "https:\\\\evil.test",
    "https://[::1",
    "",
]


@pytest.mark.parametrize("link", [*LINKS, 7, [], "https://x.test/" + "x" * 3000], ids=lambda link: repr(link)[:30])
async def test_only_https_links_are_shown(link: Any) -> None:
    assert (await call_with_reply(USER_INFO_OF_ALL, 200, user(profile_deep_link=link))).profile_url is None


@pytest.mark.parametrize(
    "link", ["https://www.tiktok.com/@ann?x=1#y", "HTTPS://www.tiktok.com/@ann", " https://vm.tiktok.com/x\n"]
)
async def test_an_https_link_is_shown(link: str) -> None:
    assert (await call_with_reply(USER_INFO_OF_ALL, 200, user(profile_deep_link=link))).profile_url == link.strip()


@pytest.mark.parametrize("value", [None, "", 7.5, [], {}, "x" * 256])
async def test_the_open_id_of_a_user_may_be_missing(value: Any) -> None:
    assert (await call_with_reply(USER_INFO_OF_ALL, 200, user(open_id=value))).open_id is None


async def test_texts_without_end_are_cut_and_identifiers_dropped() -> None:
    result = await call_with_reply(
        USER_INFO_OF_ALL, 200, user(display_name="A" * 5000, username="a" * 5000, bio_description="b" * 5000)
    )
    assert (result.display_name, result.username, result.bio_description) == ("A" * 1000, None, "b" * 1000)


async def test_fields_that_were_not_requested_are_ignored() -> None:
    result = await call_with_reply(USER_INFO, 200, user())
    assert (result.username, result.profile_url, result.is_verified, result.follower_count) == (None, None, None, 0)


WITHOUT_A_USER = [b"{}", b'{"data":[]}', b'{"data":null}', b'{"data":{"user":null}}', b'{"data":{"user":7}}']
WITHOUT_A_USER += [
    b'{"data":{"user":{}}}',
    b'{"data":{"user":{"open_id":[]}}}',
    b'{"data":{"user":{"likes_count":-1}}}',
]
WITHOUT_A_USER += [b'{"data":{},"error":"ok"}', b'{"error":{"code":5}}', b'{"error":[]}']


@pytest.mark.parametrize("body", WITHOUT_A_USER)
async def test_a_reply_without_a_user_cannot_be_read(body: bytes) -> None:
    assert isinstance(await failure(USER_INFO, 200, body), UnreadableReply)


@pytest.mark.parametrize(
    "error", ["ok", "OK", "", None, 0, [], {}, {"code": 0}, {"code": ""}, {"code": "OK", "log_id": 5}], ids=str
)
async def test_a_user_beside_something_that_is_no_error_is_read(error: Any) -> None:
    body = json.dumps({"data": {"user": USER}, "error": error}).encode()
    assert (await call_with_reply(USER_INFO, 200, body)).display_name == "Ann"


SCALARS: Any = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
INNER: Any = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=3)
ANYTHING: Any = INNER | st.lists(INNER, max_size=3) | st.dictionaries(st.text(max_size=5), INNER, max_size=3)
STATUSES = st.sampled_from([200, 204, 302, 400, 401, 404, 429, 500, 503])


def of_any(names: Any, **always: Any) -> Any:
    """Generate objects with some of these fields, of any value."""
    return st.fixed_dictionaries(
        {name: st.just(value) for name, value in always.items()}, optional=dict.fromkeys(names, ANYTHING)
    )


def is_storable(text: str | None) -> bool:
    return text is None or "\0" not in text.encode().decode()  # no half of a surrogate pair, no NUL


@settings(max_examples=300, deadline=None)
@given(values=of_any(set(GRANT) - {"access_token"} | {"error", "data"}, access_token="act.x"), status=STATUSES)
def test_no_values_beside_an_access_token_lose_it(values: dict[str, Any], status: int) -> None:
    result = replies.parse_token_grant(Reply(status=status, body=json.dumps(values).encode()))
    assert result.access_token == "act.x"
    assert MIN_LIFETIME <= result.expires_in <= MAX_LIFETIME
    assert len(result.open_id) <= 255
    assert is_storable(result.open_id)


@settings(max_examples=300, deadline=None)
@given(values=of_any(set(USER) - {"open_id"}, open_id="open-1"))
def test_no_values_of_a_user_lose_the_others(values: dict[str, Any]) -> None:
    body = json.dumps({"data": {"user": values}, "error": {"code": "ok"}}).encode()
    result = replies.parse_user(Reply(status=200, body=body))
    assert result.open_id == "open-1"
    counters = (result.follower_count, result.following_count, result.likes_count, result.video_count)
    assert all(count is None or 0 <= count <= MAX_COUNTER for count in counters)
    texts = (
        result.union_id,
        result.display_name,
        result.username,
        result.avatar_url,
        result.bio_description,
        result.profile_url,
    )
    assert all(map(is_storable, texts))
    assert result.profile_url is None or result.profile_url.lower().startswith("https://")


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=200) | ANYTHING.map(lambda value: json.dumps(value).encode()), status=STATUSES)
def test_no_bytes_are_more_than_an_error(body: bytes, status: int) -> None:
    for parse in (replies.parse_token_grant, replies.check_revoked, replies.parse_user):
        with suppress(TikTokError):
            parse(Reply(status=status, body=body))
