"""Events name what they are about: accounts by their username then, jobs by their global id, syncs by their request."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from tests.connecting import stored
from tests.support.rows import account, store
from tests.support.server import Api
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.models import SyncResult
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running

AUDIT = """
query Audit($filter: AuditEventFilter) { auditEvents(first: 50, filter: $filter) {
  edges { node { action accountId accountUsername account { id } requestId details { name value } } }
} }
"""
DISCONNECT = "mutation D($id: ID!) { disconnectAccount(input: { id: $id }) { userErrors { code } } }"
START = "mutation S($input: SyncAccountsInput!) { syncAccounts(input: $input) { job { id } userErrors { code } } }"


async def nodes(api: Api, **where: Any) -> list[dict[str, Any]]:
    """Oldest first."""
    return [edge["node"] for edge in (await api.data(AUDIT, filter=where))["auditEvents"]["edges"]][::-1]


async def test_a_disconnected_accounts_events_say_what_it_was_called(api: Api, tiktok: TikTok) -> None:
    row = await tiktok.connect(api.viewer)
    assert row.username
    await api.data(DISCONNECT, id=ids.encode(ids.NodeKind.ACCOUNT, row.id))
    told = await nodes(api, changesOnly=True)
    assert [(node["action"], node["accountUsername"], node["account"]) for node in told] == [
        ("ACCOUNT_CONNECTED", row.username, None),
        ("ACCOUNT_DISCONNECTED", row.username, None),
    ]


async def test_an_event_keeps_the_name_of_its_time(api: Api, running: Running) -> None:
    [row] = await store(running.db, account(api.viewer, username="before"))
    query, global_id = "query A($id: ID!) { account(id: $id) { id } }", ids.encode(ids.NodeKind.ACCOUNT, row.id)
    await api.data(query, id=global_id)
    async with running.db.transaction() as session:
        await accounts.change(session, api.viewer, row.id, **accounts.name_columns("after", "x"))
    await api.data(query, id=global_id)
    await api.data(DISCONNECT, id=global_id)
    told = await nodes(api, accountId=global_id)
    assert [node["accountUsername"] for node in told] == ["before", "after", "after"]


async def test_an_event_of_no_account_or_of_one_without_a_username_has_no_name(api: Api, running: Running) -> None:
    [row] = await store(running.db, account(api.viewer))
    await api.data("query A($id: ID!) { account(id: $id) { id } }", id=ids.encode(ids.NodeKind.ACCOUNT, row.id))
    await api.data("{ accounts { edges { cursor } } }")
    assert [node["accountUsername"] for node in await nodes(api)] == [None, None]


async def test_the_name_is_the_viewers_own(api: Api, stranger: Api, running: Running) -> None:
    """Of an account of two viewers, whose rows differ."""
    mine, _ = await store(running.db, account(api.viewer, username="mine"), account(stranger.viewer, username="theirs"))
    await api.data(DISCONNECT, id=ids.encode(ids.NodeKind.ACCOUNT, mine.id))
    assert [node["accountUsername"] for node in await nodes(api, changesOnly=True)] == ["mine"]


async def test_details_name_jobs_by_their_global_ids(api: Api, running: Running) -> None:
    """Also those of events that a version before has stored: all store the key."""
    started = (await api.data(START, input={"target": {"filter": {"search": "nobody"}}}))["syncAccounts"]["job"]["id"]
    told = [detail["value"] for node in await nodes(api) for detail in node["details"] if detail["name"] == "syncJobId"]
    assert told == [started] * 2  # its start and its end
    job = "query J($id: ID!) { node(id: $id) { id } }"
    assert (await api.data(job, id=told[0]))["node"]["id"] == started
    [event, *_] = await stored.events(running, api.viewer)
    assert event.details[0]["value"] == str(ids.job_key(started))


async def test_the_request_that_asked_for_a_job_stands_in_the_events_of_its_syncs(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    good, bad = await tiktok.connect(api.viewer), await tiktok.connect(api.viewer)
    tiktok.fail(USER_INFO_PATH, bad, status=401, error="scope_not_authorized", times=9)
    asked = [ids.encode(ids.NodeKind.ACCOUNT, one.id) for one in (good, bad)]
    variables = {"input": {"target": {"ids": asked}}}
    answer = (await api.post(START, variables, X_Request_ID="the-request")).json()
    job_id = ids.job_key(answer["data"]["syncAccounts"]["job"]["id"])
    async with running.db.read() as session:
        statement = select(col(SyncResult.id)).where(col(SyncResult.job_id) == job_id)
        results: list[UUID] = list(await session.scalars(statement))
    for result in results:
        await running.job_runner.sync_result(api.viewer, str(result))
    events = [event for event in await stored.events(running, api.viewer) if event.request_id == "the-request"]
    assert sorted((event.action, event.actor) for event in events) == [
        ("ACCOUNT_SYNCED", "USER"),
        ("ACCOUNT_SYNC_FAILED", "USER"),
        ("SYNC_JOB_FINISHED", "SYSTEM"),
        ("SYNC_JOB_STARTED", "USER"),
    ]
