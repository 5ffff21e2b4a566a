"""GraphQL over server-sent events, in the "distinct connections mode" of graphql-sse."""

import asyncio
import json
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest

from tests.live.acting import WATCH_ACCOUNTS, WATCH_JOB, disconnect, many, start_job
from tests.support.backends import on_sqlite
from tests.support.event_streams import EVENTS, list_events, open_stream, read_events
from tests.support.server import Api, hub_of, started_api
from tests.support.sockets import PARTS
from tests.support.tiktok import TikTok
from tests.support.waiting import until
from tiktok_accounts_gql.events import AccountChanged, ChangeKind, hash_viewer
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.web.multipart import HEARTBEAT_SECONDS

pytestmark = on_sqlite

URQL = "text/event-stream, multipart/mixed"
URQL_QUERY = (
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
)


def refused(body: str) -> str:
    """The code of the only error, in the frame of the protocol."""
    first, last, rest = body.split("\n\n")
    assert (last, rest) == ("event: complete\ndata:", "")
    [error] = json.loads(first.removeprefix("event: next\ndata: "))["errors"]
    assert error["extensions"]["requestId"]
    code: str = error["extensions"]["code"]
    return code


async def test_the_bytes_are_those_of_the_protocol(api: Api) -> None:
    job_id = await start_job(api, filter={"search": "nobody"})
    async with open_stream(
        api, "subscription S($id: ID!) { syncJobUpdated(id: $id) { id } }", {"id": job_id}
    ) as response:
        body = await response.aread()
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
    assert (response.headers["Cache-Control"], response.headers["X-Accel-Buffering"]) == ("no-store", "no")
    assert response.headers["X-Request-ID"]
    payload = json.dumps({"data": {"syncJobUpdated": {"id": job_id}}, "extensions": {"cost": 2}}, separators=(",", ":"))
    assert body.decode() == f":\n\nevent: next\ndata: {payload}\n\nevent: complete\ndata:\n\n"


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_job_is_told_until_it_ends(api: Api, tiktok: TikTok, method: str) -> None:
    job_id = await start_job(api, ids=await many(tiktok, api.viewer, 10))
    async with open_stream(api, WATCH_JOB, {"id": job_id}, method=method) as response:
        *nexts, complete = await list_events(response)
    jobs = [data["data"]["syncJobUpdated"] for name, data in nexts if name == "next"]
    assert (jobs[-1]["succeededCount"], complete) == (10, ("complete", None))
    assert [job["progress"] for job in jobs] == sorted(job["progress"] for job in jobs)


async def test_an_event_is_there_before_the_next_one(api: Api, tiktok: TikTok) -> None:
    accounts = await many(tiktok, api.viewer, 2)
    async with open_stream(api, WATCH_ACCOUNTS) as response, asyncio.timeout(15):
        coming = read_events(response)
        assert await anext(coming) == ("comment", None)
        for account in accounts:
            await disconnect(api, account)
            name, data = await anext(coming)
            assert (name, data["data"]["accountChanged"]["accountId"]) == ("next", account)
        await coming.aclose()


async def test_comments_keep_it_alive_while_nothing_happens(api: Api) -> None:
    async with open_stream(api, WATCH_ACCOUNTS) as response, asyncio.timeout(HEARTBEAT_SECONDS + 5):
        coming = read_events(response)
        assert [await anext(coming), await anext(coming)] == [("comment", None)] * 2
        await coming.aclose()


async def test_what_is_ended_from_outside_is_not_complete(api: Api) -> None:
    async with open_stream(api, WATCH_ACCOUNTS, lifetime=timedelta(seconds=-8)) as response, asyncio.timeout(8):
        [(name, data)] = await list_events(response)
    assert (name, data["errors"][0]["extensions"]["code"]) == ("next", "UNAUTHENTICATED")


async def test_it_ends_at_once_when_the_server_stops(own_settings: Settings, viewer: str) -> None:
    async with started_api(own_settings, viewer) as (server, api), open_stream(api, WATCH_ACCOUNTS) as response:
        await until(lambda: hub_of(server).subscriber_count() == 1)
        began = asyncio.get_running_loop().time()
        server.should_exit = True
        [(name, data)] = await list_events(response)
        assert (name, data["errors"][0]["extensions"]["code"]) == ("next", "SERVICE_UNAVAILABLE")
        await until(lambda: not server.server_state.connections)
        assert asyncio.get_running_loop().time() - began < 3


@pytest.mark.parametrize("accept", [EVENTS, URQL, PARTS, "multipart/mixed;subscriptionSpec=1.0"])
async def test_one_too_many_is_refused_in_the_type_that_was_asked_for(
    own_settings: Settings, viewer: str, accept: str
) -> None:
    settings = own_settings.model_copy(update={"streams_per_viewer": 1})
    async with started_api(settings, viewer) as (server, api):
        async with open_stream(api, WATCH_ACCOUNTS) as stream:
            assert stream.status_code == 200
            async with open_stream(api, WATCH_ACCOUNTS, Accept=accept) as response:
                body = (await response.aread()).decode()
            assert (response.status_code, "RATE_LIMITED" in body) == (429, True)
            assert response.headers["Retry-After"]
            if accept.startswith(EVENTS):
                assert response.headers["Content-Type"].startswith(EVENTS)
                assert refused(body) == "RATE_LIMITED"
            elif accept == PARTS:  # which takes JSON too
                assert response.headers["Content-Type"].startswith("application/json")
                assert json.loads(body)["errors"]
            else:
                assert response.headers["Content-Type"].startswith("multipart/mixed;boundary=")
                assert body.startswith("--graphql\r\nContent-Type: application/json\r\n\r\n{")
                assert body.endswith("}\r\n--graphql--\r\n")
            await until(lambda: hub_of(server).subscriber_count() == 1)
        await until(lambda: hub_of(server).subscriber_count() == 0)
        async with open_stream(api, WATCH_ACCOUNTS, Accept=accept) as stream:  # who goes makes room
            assert stream.status_code == 200


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    ("query", "data"),
    [
        pytest.param("{ __typename }", {"__typename": "Query"}, id="query"),
        pytest.param("{ accounts { totalCount } }", {"accounts": {"totalCount": 0}}, id="a-list-that-is-kept"),
    ],
)
async def test_one_result_is_an_event(api: Api, method: str, query: str, data: dict[str, Any]) -> None:
    for _ in range(2):
        async with open_stream(api, query, method=method) as response:
            [(name, told_data), last] = await list_events(response)
        assert (name, told_data["data"], last) == ("next", data, ("complete", None))
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        assert int(response.headers["Content-Length"]) > 0
    as_json = await api.post(query, Accept="application/json")  # of the same answer, if it was kept
    assert as_json.json()["data"] == data


async def test_a_mutation_is_an_event_by_post_alone(api: Api) -> None:
    mutation = 'mutation { syncAccount(input: { id: "x" }) { success } }'
    async with open_stream(api, mutation) as response:
        [(name, data), last] = await list_events(response)
    assert (name, data["data"], last) == ("next", {"syncAccount": {"success": False}}, ("complete", None))
    async with open_stream(api, mutation, method="GET") as response:
        assert (response.status_code, refused((await response.aread()).decode())) == (405, "BAD_USER_INPUT")


@pytest.mark.parametrize(
    ("accept", "query", "answered"),
    [
        pytest.param(URQL_QUERY, "{ __typename }", "application/json", id="urql's-query"),
        pytest.param(f"{EVENTS};q=0.5, application/json", "{ __typename }", "application/json", id="json-is-better"),
        pytest.param(f"{EVENTS}, application/json;q=0.5", "{ __typename }", EVENTS, id="events-are-better"),
        pytest.param(f"{EVENTS}, */*;q=0.1", "{ __typename }", EVENTS, id="anything-else-is-worse"),
        pytest.param("Text/Event-Stream", "{ __typename }", EVENTS, id="any-case"),
        pytest.param(URQL, WATCH_JOB, EVENTS, id="urql's-subscription"),
        pytest.param(URQL_QUERY, WATCH_JOB, EVENTS, id="everything"),
        pytest.param(f"{EVENTS};q=0.1, {PARTS}", WATCH_JOB, "multipart/mixed", id="parts-are-better"),
        pytest.param(f"{PARTS}, {EVENTS}", WATCH_JOB, "multipart/mixed", id="parts-are-first"),
        pytest.param(f"{EVENTS}, {PARTS}", WATCH_JOB, EVENTS, id="events-are-first"),
        pytest.param(f"{EVENTS};q=0, {PARTS}", WATCH_JOB, "multipart/mixed", id="no-events"),
    ],
)
async def test_what_is_welcome_most_is_given(api: Api, accept: str, query: str, answered: str) -> None:
    variables = {"id": await start_job(api, filter={"search": "nobody"})} if query == WATCH_JOB else None
    answer = await api.post(query, variables, Accept=accept)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(answered)


@pytest.mark.parametrize(
    ("accept", "query", "named"),
    [
        pytest.param("application/json", WATCH_ACCOUNTS, "multipart/mixed;subscriptionSpec=1.0", id="json-alone"),
        pytest.param("*/*", WATCH_ACCOUNTS, EVENTS, id="anything"),
        pytest.param("multipart/mixed", WATCH_ACCOUNTS, EVENTS, id="parts-of-another-kind"),
        pytest.param(f"{EVENTS};q=0", WATCH_ACCOUNTS, "application/json", id="no-events"),
        pytest.param("multipart/mixed;subscriptionSpec=1.0", "{ __typename }", "application/json", id="parts-alone"),
        pytest.param("text/html", "{ __typename }", EVENTS, id="a-page"),
    ],
)
async def test_a_406_names_what_can_be_had(api: Api, accept: str, query: str, named: str) -> None:
    answer = await api.post(query, Accept=accept)
    assert (answer.status_code, named in answer.text) == (406, True)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param("subscription {", "GRAPHQL_PARSE_FAILED", id="no-document"),
        pytest.param("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED", id="invalid"),
        pytest.param("subscription S($id: ID!) { syncJobUpdated(id: $id) { id } }", "BAD_USER_INPUT", id="no-variable"),
        pytest.param("{" + "a: __typename " * 600 + "}", "LIMIT_EXCEEDED", id="too-large"),
        pytest.param("query A { __typename } query B { __typename }", "BAD_USER_INPUT", id="no-operation-chosen"),
        pytest.param('subscription { syncJobUpdated(id: "x") { id } }', "NOT_FOUND", id="no-such-job"),
    ],
)
async def test_what_the_document_gets_wrong_is_told_in_an_accepted_stream(api: Api, query: str, code: str) -> None:
    async with open_stream(api, query) as response:
        body = (await response.aread()).decode()
    assert (response.status_code, refused(body)) == (200, code)
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("accept", [EVENTS, "multipart/mixed;subscriptionSpec=1.0", "application/json"])
@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        pytest.param({"headers": {"Authorization": "Bearer a.b.c"}}, 401, "UNAUTHENTICATED", id="a-bad-token"),
        pytest.param(
            {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "BAD_USER_INPUT", id="no-json"
        ),
        pytest.param({"json": {}}, 400, "BAD_USER_INPUT", id="no-query"),
        pytest.param(
            {"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "BAD_USER_INPUT", id="no-type"
        ),
        pytest.param({"content": b" " * 70_000}, 413, "LIMIT_EXCEEDED", id="a-large-body"),
        pytest.param({"method": "PUT", "json": {}}, 405, "BAD_USER_INPUT", id="another-method"),
        pytest.param(
            {
                "json": {
                    "query": "{ __typename }",
                    "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}},
                }
            },
            400,
            "PERSISTED_QUERY_MISMATCH",
            id="another-hash",
        ),
    ],
)
async def test_every_refusal_is_of_the_type_that_was_asked_for(
    api: Api, accept: str, how: dict[str, Any], status: int, code: str
) -> None:
    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json", "Accept": accept}
    sent = {**how, "headers": headers | how.get("headers", {})}
    answer = await api.http.request(sent.pop("method", "POST"), "/graphql", **sent)
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith(accept.partition(";")[0])
    assert f'"{code}"' in answer.text
    if accept == EVENTS:
        assert refused(answer.text) == code


async def test_a_persisted_query_is_told_as_unknown_in_the_stream(api: Api) -> None:
    query = f"{WATCH_ACCOUNTS} # {uuid4()}"
    digest = {"persistedQuery": {"version": 1, "sha256Hash": sha256(query.encode()).hexdigest()}}
    headers = {"Authorization": f"Bearer {api.token}", "Accept": EVENTS}
    unknown = await api.http.post("/graphql", json={"extensions": digest}, headers=headers)
    assert (unknown.status_code, refused(unknown.text)) == (200, "PERSISTED_QUERY_NOT_FOUND")


async def test_what_breaks_in_between_is_masked_and_ends_it(own_settings: Settings, viewer: str) -> None:
    async with (
        started_api(own_settings, viewer) as (server, api),
        open_stream(api, WATCH_JOB, {"id": await job(api)}) as response,
    ):
        assert (await list_events(response))[-1] == ("complete", None)
        async with open_stream(api, WATCH_ACCOUNTS) as broken:
            await until(lambda: hub_of(server).subscriber_count() == 1)
            object.__setattr__(server.lifespan.state["services"].subscriptions, "db", None)  # what nobody expects
            hub_of(server).publish(hash_viewer(viewer), AccountChanged(account_id=uuid4(), kind=ChangeKind.UPDATED))
            [(name, data), complete] = await list_events(broken)
    assert (name, data["errors"][0]["extensions"]["code"]) == ("next", "INTERNAL_SERVER_ERROR")
    assert complete == ("complete", None)


async def job(api: Api) -> str:
    return await start_job(api, filter={"search": "nobody"})


async def test_who_goes_is_forgotten(own_settings: Settings, viewer: str) -> None:
    async with started_api(own_settings, viewer) as (server, api):
        for method in ("POST", "GET"):
            async with open_stream(api, WATCH_ACCOUNTS, method=method):
                await until(lambda: hub_of(server).subscriber_count() == 1)
            await until(lambda: hub_of(server).subscriber_count() == 0)


async def test_an_unknown_job_is_a_result_with_an_error(api: Api) -> None:
    async with open_stream(api, WATCH_JOB, {"id": ids.encode(ids.NodeKind.SYNC_JOB, uuid4())}) as response:
        [(name, data), complete] = await list_events(response)
    assert (name, data["errors"][0]["extensions"]["code"], complete) == ("next", "NOT_FOUND", ("complete", None))
