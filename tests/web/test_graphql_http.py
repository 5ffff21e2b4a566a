"""The endpoint as HTTP: methods, media types, sign-in, cross-site requests, malformed requests."""

import json
from typing import Any

import httpx
import pytest

from tests.support.backends import on_sqlite
from tests.support.server import Api

pytestmark = on_sqlite

QUERY = "{ viewer { userId } }"
GRAPHQL = "application/graphql-response+json"


async def ask(api: Api, method: str = "POST", **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {api.token}", **options.pop("headers", {})}
    return await api.http.request(method, "/graphql", headers=headers, **options)


def code(answer: httpx.Response) -> str:
    body = answer.json()
    assert "data" not in body
    assert body["errors"][0]["extensions"]["requestId"] == answer.headers["X-Request-ID"]
    found: str = body["errors"][0]["extensions"]["code"]
    return found


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}, application/json;q=0.9", GRAPHQL),
        (f"application/json, {GRAPHQL};q=0.5", "application/json"),
        ("application/*;q=0.2, text/plain", "application/json"),
        (f"{GRAPHQL};charset=utf-8", GRAPHQL),
        ("Application/JSON", "application/json"),
    ],
)
async def test_the_media_type_is_negotiated(api: Api, accept: str | None, answered: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    request = api.http.build_request("POST", "/graphql", json={"query": QUERY})
    request.headers.pop("accept")
    request.headers.update({"Authorization": f"Bearer {api.token}", **headers})
    answer = await api.http.send(request)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{answered}; charset=utf-8"
    assert answer.json()["data"] == {"viewer": {"userId": api.viewer}}


@pytest.mark.parametrize(
    "accept",
    [
        "nonsense, application/json",
        ", application/json ,",
        "a/b/c;q=1, application/json;q=0.1",
        'x/y;z="1,2", application/json',
        "application/json;q=,",
    ],
)
async def test_what_is_no_media_range_is_passed_over(api: Api, accept: str) -> None:
    answer = await ask(api, json={"query": QUERY}, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json; charset=utf-8")


EMPTY = {"operationName": "", "variables": "", "extensions": ""}


@pytest.mark.parametrize("empty", [*({name: ""} for name in EMPTY), EMPTY], ids=str)
async def test_an_empty_parameter_is_an_absent_one(api: Api, empty: dict[str, str]) -> None:
    """By POST, by GET and by WebSocket alike: they are read by the same function."""
    headers = {"Authorization": f"Bearer {api.token}"}
    for query in (QUERY, f"query Named {QUERY}"):
        asked = await api.http.get("/graphql", params={"query": query, **empty}, headers=headers)
        posted = await ask(api, json={"query": query, **empty})
        assert ("data" in asked.json(), "data" in posted.json()) == (True, True)


@pytest.mark.parametrize("accept", ["text/plain", "image/png", "application/json;q=0", "nonsense"])
async def test_what_cannot_be_had_is_not_acceptable(api: Api, accept: str) -> None:
    answer = await ask(api, json={"query": QUERY}, headers={"Accept": accept})
    assert (answer.status_code, code(answer)) == (406, "BAD_USER_INPUT")


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer x.y.z", "Basic YTpi"])
async def test_without_a_token_nothing_is_answered(api: Api, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await api.http.post("/graphql", json={"query": QUERY}, headers=headers)
    assert (answer.status_code, code(answer)) == (401, "UNAUTHENTICATED")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing-else"),
        pytest.param({"Apollo-Require-Preflight": "1"}, id="apollo"),
        pytest.param({"Content-Type": "application/json"}, id="json"),
        pytest.param({"Content-Type": "text/plain"}, id="text"),
        pytest.param({"Accept": f"{GRAPHQL}, application/graphql+json, application/json"}, id="urql"),
    ],
)
async def test_a_query_can_be_asked_by_get_with_a_token(api: Api, headers: dict[str, str]) -> None:
    parameters = {"query": "query V($ids: [ID!]!) { nodes(ids: $ids) { id } }", "variables": '{"ids": []}'}
    answer = await ask(api, "GET", params=parameters, headers=headers)
    assert (answer.status_code, answer.json()["data"]) == (200, {"nodes": []})


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"Cookie": "token=x; Authorization=Bearer x"}, id="cookies"),
        pytest.param({"Referer": "https://evil.example/", "Sec-Fetch-Site": "cross-site"}, id="an-image"),
        pytest.param({"Apollo-Require-Preflight": "1"}, id="a-header-of-apollo's"),
        pytest.param({"Authorization": "Basic YTpi"}, id="what-a-browser-remembers"),
    ],
)
async def test_another_site_cannot_ask_by_get(api: Api, headers: dict[str, str]) -> None:
    """No page of another site can make a browser send our token, which is no cookie."""
    answer = await api.http.get("/graphql", params={"query": QUERY}, headers=headers)
    assert (answer.status_code, code(answer)) == (401, "UNAUTHENTICATED")


async def test_a_mutation_by_get_is_not_allowed(api: Api) -> None:
    mutation = 'mutation { syncAccount(input: { id: "x" }) { success } }'
    answer = await ask(api, "GET", params={"query": mutation})
    assert (answer.status_code, code(answer), answer.headers["Allow"]) == (405, "BAD_USER_INPUT", "POST")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_not_allowed(api: Api, method: str) -> None:
    answer = await ask(api, method)
    assert (answer.status_code, code(answer), answer.headers["Allow"]) == (405, "BAD_USER_INPUT", "GET, POST")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", json.dumps({"query": QUERY})),
        ("application/x-www-form-urlencoded", "query=%7Bviewer%7BuserId%7D%7D"),
        ("multipart/form-data; boundary=x", "--x--"),
        ("", json.dumps({"query": QUERY})),
        ("application/json; charset=latin-1", json.dumps({"query": QUERY})),
        ("application/graphql", QUERY),
    ],
)
async def test_other_content_types_are_refused(api: Api, content_type: str, body: str) -> None:
    answer = await ask(api, content=body.encode(), headers={"Content-Type": content_type} if content_type else {})
    assert (answer.status_code, code(answer)) == (415, "BAD_USER_INPUT")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'[{"query": "{ viewer { userId } }"}]',
        b'"text"',
        b"null",
        b"{}",
        b'{"query": null}',
        b'{"query": ""}',
        b'{"query": 1}',
        b'{"query": ["{ viewer { id } }"]}',
        b'{"query": "{ viewer { id } }", "variables": []}',
        b'{"query": "{ viewer { id } }", "variables": "{}"}',
        b'{"query": "{ viewer { id } }", "operationName": 1}',
        b'{"query": "{ viewer { id } }", "extensions": 1}',
        b'{"query": "\\ud800"}',
        b"\xff\xfe",
        b'{"query": "{ viewer { id } }", "variables": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"query": "{ viewer { id } }", "variables": {"a": ' + b"9" * 400 + b"}}",
    ],
)
async def test_malformed_requests_are_the_clients_mistake(api: Api, body: bytes) -> None:
    answer = await ask(api, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, code(answer)) == (400, "BAD_USER_INPUT")


async def test_a_body_over_64_kib_is_refused_however_it_comes(api: Api) -> None:
    body = json.dumps({"query": QUERY, "variables": {"x": "y" * 65_536}}).encode()
    headers = {"Content-Type": "application/json"}

    async def chunks() -> Any:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    for content in (body, chunks()):
        answer = await ask(api, content=content, headers=headers)
        assert (answer.status_code, code(answer)) == (413, "LIMIT_EXCEEDED")


async def test_several_operations_need_a_name(api: Api) -> None:
    document = "query A { viewer { userId } } query B { viewer { id } }"
    answer = await ask(api, json={"query": document}, headers={"Accept": GRAPHQL})
    assert (answer.status_code, code(answer)) == (400, "BAD_USER_INPUT")
    answer = await ask(api, json={"query": document, "operationName": "A"})
    assert answer.json()["data"] == {"viewer": {"userId": api.viewer}}
    answer = await ask(api, json={"query": document, "operationName": "C"}, headers={"Accept": GRAPHQL})
    assert (answer.status_code, code(answer)) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{" * 5_000, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ viewer }", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_a_refused_document_is_400_or_before_the_watershed_200(api: Api, query: str, expected: str) -> None:
    answer = await ask(api, json={"query": query}, headers={"Accept": GRAPHQL})
    assert (answer.status_code, code(answer)) == (400, expected)
    answer = await ask(api, json={"query": query}, headers={"Accept": "application/json"})
    assert (answer.status_code, code(answer)) == (200, expected)


@pytest.mark.parametrize(
    "query",
    [
        "{ " + "viewer { userId } " * 240 + "}",
        "{ viewer { " + "userId " * 240 + "} }",
        "{ viewer " * 5_000,
        "{ " + "".join(f"a{number}: viewer {{ id }} " for number in range(31)) + "}",
        "{ viewer " + "@include(if: true) " * 51 + "{ id } }",
        "{ node(id: " + "[" * 400 + "]" * 400 + ") { id } }",
        "fragment F60 on Query { viewer { id } } "
        + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(60))
        + " { ...F0 }",
    ],
)
@pytest.mark.parametrize("accept", [GRAPHQL, "application/json"])
async def test_what_is_over_a_limit_is_400_whatever_is_accepted(api: Api, query: str, accept: str) -> None:
    answer = await ask(api, json={"query": query}, headers={"Accept": accept})
    assert (answer.status_code, code(answer)) == (400, "LIMIT_EXCEEDED")


async def test_a_request_id_is_echoed_if_it_is_fit_to_be(api: Api) -> None:
    assert (await api.post(QUERY, X_Request_ID="my-id")).headers["X-Request-ID"] == "my-id"
    for unfit in ("has space", "x" * 129, "é"):
        headers = {b"authorization": f"Bearer {api.token}".encode(), b"x-request-id": unfit.encode("latin-1")}
        answer = await api.http.post("/graphql", json={"query": QUERY}, headers=headers)
        assert answer.headers["X-Request-ID"] not in (unfit, "")


async def test_every_answer_has_the_security_headers(api: Api) -> None:
    for path in ("/graphql", "/livez", "/nowhere"):
        answer = await api.http.get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "server" not in answer.headers


async def test_an_unknown_path_is_not_found_in_json(api: Api) -> None:
    answer = await api.http.get("/nowhere")
    assert (answer.status_code, code(answer)) == (404, "NOT_FOUND")


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "x@evil.example", ""])
async def test_a_foreign_host_name_gets_nothing(api: Api, host: str) -> None:
    answer = await api.http.post("/graphql", json={"query": QUERY}, headers={"Host": host})
    assert (answer.status_code, code(answer)) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_health_is_told_without_a_token(api: Api, path: str) -> None:
    answer = await api.http.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_graphiqls_page_comes_without_a_token(api: Api) -> None:
    answer = await api.http.get("/graphql", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "GraphiQL" in answer.text
