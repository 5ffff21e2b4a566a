"""Every operation leaves an event of its own: succeeded, refused or repeated, whoever else did the same at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from graphql import build_schema
from sqlalchemy import text

from tests.connecting import flows, stored
from tests.support.server import Api, serving
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db.models import AuditEvent
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.wiring import Running, open_services

SCHEMA = build_schema((Path(__file__).parents[2] / "schema.graphql").read_text())
UNKNOWN = ids.encode(ids.NodeKind.ACCOUNT, uuid4())
ERRORS = "userErrors { code }"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One viewer with an account and a job that nobody works on."""

    api: Api
    tiktok: TikTok
    running: Running

    async def ask(self, query: str, **variables: Any) -> str:
        """The id of the request, which was answered."""
        request_id = f"request-{uuid4().hex}"
        response = await self.api.post(query, variables, X_Request_ID=request_id)
        assert response.headers["X-Request-ID"] == request_id
        return request_id

    async def account(self) -> str:
        return ids.encode(ids.NodeKind.ACCOUNT, (await self.tiktok.connect(self.api.viewer)).id)

    async def job(self, key: str | None = None) -> str:
        account = await self.tiktok.connect(self.api.viewer, self.api.viewer)  # the same one each time
        one = (
            UNKNOWN if key else ids.encode(ids.NodeKind.ACCOUNT, account.id)
        )  # with a key it is asked for again as it is
        sent = {"target": {"ids": [one]}, "idempotencyKey": key}
        answer = await self.api.data(SYNC_ACCOUNTS, input=sent)
        return str(answer["syncAccounts"]["job"]["id"])

    async def events(self, request_id: str) -> list[AuditEvent]:
        return [event for event in await stored.events(self.running, self.api.viewer) if event.request_id == request_id]

    async def only_event(self, request_id: str) -> tuple[str, dict[str, str | None]]:
        """Its action, and its details."""
        [event] = await self.events(request_id)
        return event.action, {detail["name"]: detail["value"] for detail in event.details}


@pytest.fixture
def scene(api: Api, tiktok: TikTok, running: Running) -> Scene:
    return Scene(api=api, tiktok=tiktok, running=running)


START = (
    f"mutation M($input: StartAccountAuthorizationInput!) {{ startAccountAuthorization(input: $input) {{ {ERRORS} }} }}"
)
CONNECT = f"mutation M($input: ConnectAccountInput!) {{ connectAccount(input: $input) {{ {ERRORS} }} }}"
DISCONNECT = f"mutation M($input: DisconnectAccountInput!) {{ disconnectAccount(input: $input) {{ {ERRORS} }} }}"
SYNC = f"mutation M($input: SyncAccountInput!) {{ syncAccount(input: $input) {{ {ERRORS} }} }}"
SYNC_ACCOUNTS = f"mutation M($input: SyncAccountsInput!) {{ syncAccounts(input: $input) {{ job {{ id }} {ERRORS} }} }}"
CANCEL = f"mutation M($input: CancelSyncJobInput!) {{ cancelSyncJob(input: $input) {{ {ERRORS} }} }}"

READS = {
    "node": ("query Q($id: ID!) { node(id: $id) { id } }", "ACCOUNT_READ"),
    "nodes": ("query Q($id: ID!) { nodes(ids: [$id]) { id } }", "ACCOUNT_READ"),
    "viewer": ("{ viewer { id } }", "VIEWER_READ"),
    "rateLimit": ("{ rateLimit { limit } }", "VIEWER_READ"),
    "accounts": ("{ accounts { edges { cursor } } }", "ACCOUNTS_LISTED"),
    "account": ("query Q($id: ID!) { account(id: $id) { id } }", "ACCOUNT_READ"),
    "accountsSummary": ("{ accountsSummary { totalAccounts } }", "SUMMARY_READ"),
    "syncJob": ("query Q($job: ID!) { syncJob(id: $job) { id } }", "SYNC_JOBS_READ"),
    "syncJobs": ("{ syncJobs { edges { cursor } } }", "SYNC_JOBS_READ"),
    "auditEvents": ("{ auditEvents { edges { cursor } } }", "AUDIT_EVENTS_READ"),
}
REFUSED_READS = {
    "node": None,
    "nodes": "{ other: nodes(ids: [" + '"x",' * 51 + "]) { id } }",
    "viewer": None,
    "rateLimit": None,
    "accounts": "{ accounts(first: 51) { edges { cursor } } }",
    "account": None,
    "accountsSummary": None,
    "syncJob": None,
    "syncJobs": '{ syncJobs(after: "x") { edges { cursor } } }',
    "auditEvents": "{ auditEvents(first: 51) { edges { cursor } } }",
}


def test_the_table_has_every_query() -> None:
    assert SCHEMA.query_type is not None
    assert set(READS) == set(REFUSED_READS) == set(SCHEMA.query_type.fields)


@pytest.mark.parametrize("name", READS)
async def test_a_query_leaves_its_event(scene: Scene, name: str) -> None:
    query, action = READS[name]
    values = {"id": await scene.account(), "job": await scene.job()}
    asked = {key: value for key, value in values.items() if f"${key}" in query}
    for _ in range(2):  # repeated, it is another reading
        found, _details = await scene.only_event(await scene.ask(query, **asked))
        assert found == action


@pytest.mark.parametrize("name", [name for name, query in REFUSED_READS.items() if query])
async def test_a_refused_query_leaves_its_event(scene: Scene, name: str) -> None:
    found = await scene.only_event(await scene.ask(REFUSED_READS[name] or ""))
    assert found == ("QUERY_REFUSED", {"operation": name, "reason": "BAD_USER_INPUT"})


@pytest.mark.parametrize(
    "query", ['{ node(id: "x") { id } }', '{ nodes(ids: ["x"]) { id } }', '{ account(id: "x") { id } }']
)
async def test_a_text_that_is_no_id_leaves_the_event_of_a_reading_that_found_nothing(scene: Scene, query: str) -> None:
    assert await scene.only_event(await scene.ask(query)) == ("ACCOUNT_READ", {"notFound": "1"})


async def test_of_several_queries_each_leaves_its_event(scene: Scene) -> None:
    request_id = await scene.ask(
        '{ a: accounts(first: 51) { edges { cursor } } b: viewer { id } c: node(id: "x") { id } }'
    )
    assert sorted(event.action for event in await scene.events(request_id)) == [
        "ACCOUNT_READ",
        "QUERY_REFUSED",
        "VIEWER_READ",
    ]


async def test_somebody_elses_viewer_leaves_an_event(scene: Scene, stranger: Api) -> None:
    theirs = ids.encode(ids.NodeKind.VIEWER, stranger.viewer)
    request_id = await scene.ask("query Q($id: ID!) { node(id: $id) { id } }", id=theirs)
    assert await scene.only_event(request_id) == ("VIEWER_READ", {"notFound": "1"})


Case = Callable[[Scene], Awaitable[tuple[str, str, dict[str, str | None]]]]
MUTATIONS: dict[str, dict[str, Case]] = {
    name: {}
    for name in (
        "startAccountAuthorization",
        "connectAccount",
        "disconnectAccount",
        "syncAccount",
        "syncAccounts",
        "cancelSyncJob",
    )
}


def case(mutation: str, kind: str) -> Callable[[Case], Case]:
    def keep(function: Case) -> Case:
        MUTATIONS[mutation][kind] = function
        return function

    return keep


def refused(operation: str, code: str) -> tuple[str, dict[str, str | None]]:
    return "MUTATION_REFUSED", {"operation": operation, "reason": code}


@case("startAccountAuthorization", "succeeded")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    return await scene.ask(START, input={}), "AUTHORIZATION_STARTED", {}


@case("startAccountAuthorization", "refused")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    request_id = await scene.ask(START, input={"accountId": UNKNOWN})
    return request_id, *refused("startAccountAuthorization", "NOT_FOUND")


@case("startAccountAuthorization", "refused input")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    request_id = await scene.ask(START, input={"returnTo": "https://elsewhere.example"})
    return request_id, *refused("startAccountAuthorization", "INVALID_INPUT")


@case("connectAccount", "succeeded")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    answer = await flows.authorize(scene.api, f"user-{uuid4().hex}")
    scopes = ",".join(sorted(scene.tiktok.settings.tiktok_scopes))
    return await scene.ask(CONNECT, input=answer), "ACCOUNT_CONNECTED", {"grantedScopes": scopes}


@case("connectAccount", "refused")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    request_id = await scene.ask(CONNECT, input={"state": "x", "code": "c"})
    return request_id, "AUTHORIZATION_FAILED", {"reason": "AUTHORIZATION_STATE_INVALID"}


@case("connectAccount", "refused input")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    return await scene.ask(CONNECT, input={"state": "x"}), *refused("connectAccount", "INVALID_INPUT")


@case("connectAccount", "repeated")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    answer = await flows.authorize(scene.api, f"user-{uuid4().hex}")
    await scene.ask(CONNECT, input=answer)
    return await scene.ask(CONNECT, input=answer), "MUTATION_REPEATED", {"operation": "connectAccount"}


@case("connectAccount", "repeated failure")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    denied = {"state": flows.parse_query(await flows.get_start_url(scene.api))["state"], "error": "access_denied"}
    await scene.ask(CONNECT, input=denied)
    details: dict[str, str | None] = {"operation": "connectAccount", "reason": "AUTHORIZATION_DENIED"}
    return await scene.ask(CONNECT, input=denied), "MUTATION_REPEATED", details


@case("disconnectAccount", "succeeded")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    return await scene.ask(DISCONNECT, input={"id": await scene.account()}), "ACCOUNT_DISCONNECTED", {}


@case("disconnectAccount", "refused")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    return await scene.ask(DISCONNECT, input={"id": UNKNOWN}), *refused("disconnectAccount", "NOT_FOUND")


@case("disconnectAccount", "repeated")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    sent = {"id": await scene.account(), "idempotencyKey": "key"}
    await scene.ask(DISCONNECT, input=sent)
    return await scene.ask(DISCONNECT, input=sent), "MUTATION_REPEATED", {"operation": "disconnectAccount"}


@case("syncAccount", "succeeded")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    return await scene.ask(SYNC, input={"id": await scene.account()}), "ACCOUNT_SYNCED", {}


@case("syncAccount", "failed")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    account = await scene.tiktok.connect(scene.api.viewer)
    scene.tiktok.fail(USER_INFO_PATH, account, status=401, error="scope_not_authorized", times=9)
    request_id = await scene.ask(SYNC, input={"id": ids.encode(ids.NodeKind.ACCOUNT, account.id)})
    [event] = await scene.events(request_id)
    return (
        request_id,
        "ACCOUNT_SYNC_FAILED",
        {one["name"]: one["value"] for one in event.details} | {"reason": "SCOPE_MISSING"},
    )


@case("syncAccount", "refused")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    return await scene.ask(SYNC, input={"id": UNKNOWN}), *refused("syncAccount", "NOT_FOUND")


def started(job: str) -> dict[str, str | None]:
    return {"syncJobId": str(ids.job_key(job)), "total": "1", "succeeded": "0", "failed": "0", "canceled": "0"}


@case("syncAccounts", "succeeded")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    request_id = f"request-{uuid4().hex}"
    sent = {"target": {"ids": [await scene.account()]}}
    answer = await scene.api.post(SYNC_ACCOUNTS, {"input": sent}, X_Request_ID=request_id)
    return request_id, "SYNC_JOB_STARTED", started(answer.json()["data"]["syncAccounts"]["job"]["id"])


@case("syncAccounts", "refused")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    request_id = await scene.ask(SYNC_ACCOUNTS, input={"target": {"ids": []}})
    return request_id, *refused("syncAccounts", "INVALID_INPUT")


@case("syncAccounts", "repeated")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    job = await scene.job("key")
    request_id = await scene.ask(SYNC_ACCOUNTS, input={"target": {"ids": [UNKNOWN]}, "idempotencyKey": "key"})
    return request_id, "MUTATION_REPEATED", {"operation": "syncAccounts", "syncJobId": str(ids.job_key(job))}


@case("syncAccounts", "refused as another call has the key")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    await scene.job("key")
    request_id = await scene.ask(SYNC_ACCOUNTS, input={"target": {"filter": {}}, "idempotencyKey": "key"})
    return request_id, *refused("syncAccounts", "IDEMPOTENCY_KEY_REUSED")


@case("cancelSyncJob", "refused")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    unknown = ids.encode(ids.NodeKind.SYNC_JOB, uuid4())
    return await scene.ask(CANCEL, input={"id": unknown}), *refused("cancelSyncJob", "NOT_FOUND")


@case("cancelSyncJob", "repeated")
async def _(scene: Scene) -> tuple[str, str, dict[str, str | None]]:
    job = await scene.job()
    await scene.ask(CANCEL, input={"id": job})
    details: dict[str, str | None] = {"operation": "cancelSyncJob", "syncJobId": str(ids.job_key(job))}
    return await scene.ask(CANCEL, input={"id": job}), "MUTATION_REPEATED", details


def test_the_table_has_every_mutation() -> None:
    assert SCHEMA.mutation_type is not None
    assert set(MUTATIONS) == set(SCHEMA.mutation_type.fields)
    assert all("refused" in cases for cases in MUTATIONS.values())


@pytest.mark.parametrize(
    "perform",
    [pytest.param(one, id=f"{name} {kind}") for name, cases in MUTATIONS.items() for kind, one in cases.items()],
)
async def test_a_mutation_leaves_its_event(scene: Scene, perform: Case) -> None:
    request_id, action, details = await perform(scene)
    assert await scene.only_event(request_id) == (action, details)


async def test_a_canceled_job_leaves_the_events_of_its_cancellation_and_of_its_end(scene: Scene) -> None:
    """The end is the system's, under the request that asked for the job."""
    request_id = await scene.ask(CANCEL, input={"id": await scene.job()})
    assert [event.action for event in await scene.events(request_id)] == ["SYNC_JOB_CANCELED"]


async def test_syncs_at_once_leave_an_event_each_in_two_processes(
    scene: Scene, settings: Settings, api: Api, running: Running
) -> None:
    account = await scene.tiktok.connect(api.viewer)
    asked, sent = scene.tiktok.user_infos(account.open_id), {"id": ids.encode(ids.NodeKind.ACCOUNT, account.id)}
    scene.tiktok.fail(USER_INFO_PATH, account, delay_seconds=0.5, passthrough=True)
    async with serving(settings) as url, httpx.AsyncClient(base_url=url, verify=get_ssl_context(), timeout=30) as http:
        other = Scene(api=Api(http=http, settings=settings, viewer=api.viewer), tiktok=scene.tiktok, running=running)
        requests = await asyncio.gather(*[one.ask(SYNC, input=sent) for one in (scene, other) * 3])
    assert scene.tiktok.user_infos(account.open_id) - asked == 1
    found = [await scene.only_event(request_id) for request_id in requests]
    assert {action for action, _ in found} == {"ACCOUNT_SYNCED"}
    assert sorted("shared" in details for _, details in found) == [False, *[True] * 5]


async def test_a_failure_that_is_shared_leaves_an_event_each(scene: Scene, api: Api) -> None:
    account = await scene.tiktok.connect(api.viewer)
    sent = {"id": ids.encode(ids.NodeKind.ACCOUNT, account.id)}
    scene.tiktok.fail(USER_INFO_PATH, account, status=401, error="scope_not_authorized", delay_seconds=0.3, times=9)
    requests = await asyncio.gather(*[scene.ask(SYNC, input=sent) for _ in range(3)])
    for request_id in requests:
        action, details = await scene.only_event(request_id)
        assert (action, details["reason"]) == ("ACCOUNT_SYNC_FAILED", "SCOPE_MISSING")


async def test_a_refusal_names_the_account_if_it_was_the_viewers(scene: Scene, stranger: Api) -> None:
    account = await scene.account()
    await scene.ask(DISCONNECT, input={"id": account})
    theirs = ids.encode(ids.NodeKind.ACCOUNT, (await scene.tiktok.connect(stranger.viewer)).id)
    [mine] = await scene.events(await scene.ask(DISCONNECT, input={"id": account}))
    [other] = await scene.events(await scene.ask(DISCONNECT, input={"id": theirs}))
    assert (mine.account_id, other.account_id) == (ids.account_key(account), None)
    assert mine.is_change
    assert mine.account_username


async def test_what_the_schema_refuses_never_began(scene: Scene) -> None:
    for query in ("{ nothing }", "{ accounts(first: true) { edges { cursor } } }", "{"):
        assert await scene.events(await scene.ask(query)) == []


async def test_a_refusal_that_cannot_be_recorded_is_answered_as_unavailable(
    own_settings: Settings, api: Api, backend: str
) -> None:
    """Nothing was done, so asking again is safe; an answer without an event would be a hole in the log."""
    async with (
        serving(own_settings) as url,
        httpx.AsyncClient(base_url=url, verify=get_ssl_context(), timeout=30) as http,
        open_services(own_settings) as running,
    ):
        mine = Api(http=http, settings=own_settings, viewer=api.viewer)
        async with running.db.transaction() as session:
            await session.execute(text("ALTER TABLE audit_events RENAME TO audit_events_away"))
        answer = (await mine.post(DISCONNECT, {"input": {"id": "x"}})).json()
        assert answer["data"] == {"disconnectAccount": None}
        assert answer["errors"][0]["path"] == ["disconnectAccount"]


async def test_a_refused_subscription_leaves_its_event(scene: Scene) -> None:
    query = "subscription S($id: ID!) { syncJobUpdated(id: $id) { id } }"
    variables, request_id = {"id": ids.encode(ids.NodeKind.SYNC_JOB, uuid4())}, f"request-{uuid4().hex}"
    accept = "multipart/mixed;subscriptionSpec=1.0, application/json"
    answer = (await scene.api.post(query, variables, Accept=accept, X_Request_ID=request_id)).json()
    assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    expected = ("QUERY_REFUSED", {"operation": "syncJobUpdated", "reason": "NOT_FOUND"})
    assert await scene.only_event(request_id) == expected
