"""Query.auditEvents, and what every operation leaves behind."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col

from tests.support.backends import on_sqlite
from tests.support.rows import account, store
from tests.support.server import Api
from tests.support.statements import counted_statements
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import AuditEvent
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.wiring import Running

AUDIT = """
query Audit($first: Int, $after: String, $last: Int, $before: String, $filter: AuditEventFilter) {
  auditEvents(first: $first, after: $after, last: $last, before: $before, filter: $filter) {
    edges { cursor node { id action createdAt accountId actor requestId ipAddress details { name value previousValue } } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


async def stored(running: Running, viewer: str) -> list[AuditEvent]:
    statement = select(AuditEvent).where(col(AuditEvent.viewer_id) == viewer).order_by(col(AuditEvent.id))
    async with running.db.read() as session:
        return list(await session.scalars(statement))


@pytest.mark.parametrize(
    ("query", "action"),
    [
        ("{ accounts { edges { cursor } } }", "ACCOUNTS_LISTED"),
        ("{ accountsSummary { totalAccounts } }", "SUMMARY_READ"),
        ("{ auditEvents { edges { cursor } } }", "AUDIT_EVENTS_READ"),
    ],
)
async def test_every_read_leaves_an_event(api: Api, running: Running, query: str, action: str) -> None:
    await api.post(query, X_Request_ID="request-1")
    [event] = await stored(running, api.viewer)
    assert (event.action, event.actor, event.is_change) == (action, "USER", False)
    assert (event.request_id, event.ip_address) == ("request-1", "127.0.0.1")


async def test_each_account_that_is_read_leaves_an_event(api: Api, running: Running) -> None:
    rows = await store(running.db, *[account(api.viewer, number) for number in range(3)])
    query = "query N($ids: [ID!]!, $id: ID!) { nodes(ids: $ids) { id } account(id: $id) { id } }"
    asked = [ids.encode(ids.NodeKind.ACCOUNT, row.id) for row in rows]
    await api.data(query, ids=asked, id=asked[0])
    events = await stored(running, api.viewer)
    assert sorted(str(event.account_id) for event in events) == sorted(str(row.id) for row in rows)
    assert {event.action for event in events} == {"ACCOUNT_READ"}


async def test_an_id_that_leads_nowhere_leaves_an_event_without_an_account(
    api: Api, stranger: Api, running: Running
) -> None:
    [row] = await store(running.db, account(stranger.viewer))
    await api.data("query A($id: ID!) { account(id: $id) { id } }", id=ids.encode(ids.NodeKind.ACCOUNT, row.id))
    [event] = await stored(running, api.viewer)
    assert (event.action, event.account_id) == ("ACCOUNT_READ", None)
    assert event.details == [{"name": "notFound", "value": "1", "previousValue": None}]
    assert await stored(running, stranger.viewer) == []


async def test_reading_nothing_leaves_nothing(running: Running, viewer: str) -> None:
    assert await running.services.accounts.read(Viewer(id=viewer), []) == {}
    assert await stored(running, viewer) == []


async def test_reads_at_the_same_time_commit_in_groups(api: Api, running: Running) -> None:
    with counted_statements() as statements:
        await asyncio.gather(*[api.data("{ accountsSummary { totalAccounts } }") for _ in range(40)])
    assert len(await stored(running, api.viewer)) == 40
    assert statements.writes_of("audit_events") < 40


async def test_pages_go_through_all_events_newest_first(api: Api) -> None:
    for _ in range(5):
        await api.data("{ accountsSummary { totalAccounts } }")
    whole = (await api.data(AUDIT, first=50, filter={"action": ["SUMMARY_READ"]}))["auditEvents"]["edges"]
    times = [edge["node"]["createdAt"] for edge in whole]
    assert len(whole) == 5
    assert times == sorted(times, reverse=True)
    walked, after = [], None
    while True:
        page = (await api.data(AUDIT, first=2, after=after, filter={"action": ["SUMMARY_READ"]}))["auditEvents"]
        walked += page["edges"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert walked == whole
    back = (await api.data(AUDIT, last=2, before=whole[3]["cursor"], filter={"action": ["SUMMARY_READ"]}))[
        "auditEvents"
    ]
    assert back["edges"] == whole[1:3]


async def test_filters_hold_together(api: Api, tiktok: TikTok) -> None:
    one, other = await tiktok.connect(api.viewer), await tiktok.connect(api.viewer)
    await api.data("{ accounts { edges { cursor } } }")
    changes = await api.data(AUDIT, filter={"changesOnly": True})
    assert {edge["node"]["action"] for edge in changes["auditEvents"]["edges"]} == {"ACCOUNT_CONNECTED"}
    assert len(changes["auditEvents"]["edges"]) == 2
    of_one = await api.data(AUDIT, filter={"accountId": ids.encode(ids.NodeKind.ACCOUNT, one.id)})
    [edge] = of_one["auditEvents"]["edges"]
    assert edge["node"]["accountId"] == ids.encode(ids.NodeKind.ACCOUNT, one.id)
    assert edge["node"]["details"][0]["name"] == "grantedScopes"
    tomorrow = (utc_now() + timedelta(days=1)).isoformat()
    assert (await api.data(AUDIT, filter={"from": tomorrow}))["auditEvents"]["edges"] == []
    assert len((await api.data(AUDIT, filter={"to": tomorrow, "changesOnly": True}))["auditEvents"]["edges"]) == 2
    assert other.id != one.id


async def test_somebody_elses_account_has_no_events_for_me(api: Api, stranger: Api, tiktok: TikTok) -> None:
    row = await tiktok.connect(stranger.viewer)
    seen = await api.data(AUDIT, filter={"accountId": ids.encode(ids.NodeKind.ACCOUNT, row.id)})
    assert seen["auditEvents"]["edges"] == []
    theirs = (await stranger.data(AUDIT))["auditEvents"]["pageInfo"]["endCursor"]
    after = (await api.data(AUDIT, after=theirs))["auditEvents"]["edges"]
    assert {edge["node"]["accountId"] for edge in after} <= {None}


@pytest.mark.parametrize(
    "variables",
    [
        {"first": -1},
        {"last": 51},
        {"first": 1, "last": 1},
        {"after": "x"},
        {"filter": {"from": "yesterday"}},
        {"filter": {"from": "2026-11-24T09:00:00"}},
        {"filter": {"to": 5}},
        {"filter": {"action": ["NOTHING"]}},
    ],
)
async def test_mistakes_are_explained(api: Api, variables: dict[str, Any]) -> None:
    error = await api.error(AUDIT, **variables)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_times_are_in_utc_and_take_any_offset(api: Api) -> None:
    await api.data("{ accountsSummary { totalAccounts } }")
    [edge] = (await api.data(AUDIT, filter={"from": "2020-01-01T02:00:00+02:00"}))["auditEvents"]["edges"]
    assert edge["node"]["createdAt"].endswith("Z")
    again = await api.data(AUDIT, filter={"to": edge["node"]["createdAt"]})
    assert again["auditEvents"]["edges"] == []


@pytest.mark.parametrize("change", ["UPDATE audit_events SET action = 'X'", "DELETE FROM audit_events"])
async def test_events_can_be_neither_changed_nor_deleted(api: Api, running: Running, change: str) -> None:
    await api.data("{ accountsSummary { totalAccounts } }")
    with pytest.raises(DBAPIError, match="append-only"):
        async with running.db.transaction() as session:
            await session.execute(text(change))
    assert len(await stored(running, api.viewer)) == 1


@on_sqlite
@pytest.mark.parametrize("column", ["id", "rowid"])
async def test_no_event_takes_the_place_of_another(api: Api, running: Running, column: str) -> None:
    """REPLACE deletes what is in its way, and no trigger of DELETE is asked."""
    await api.data("{ accountsSummary { totalAccounts } }")
    [event] = await stored(running, api.viewer)
    names = "viewer_id, action, is_change, created_at, actor, details"
    place = "id" if column == "id" else f"lower(hex(randomblob(16))), {column}"
    replace = (
        f"INSERT OR REPLACE INTO audit_events (id{'' if column == 'id' else ', rowid'}, {names}) "
        f"SELECT {place}, viewer_id, 'ACCOUNT_READ', is_change, created_at, actor, details FROM audit_events WHERE id = :id"
    )
    with pytest.raises(DBAPIError, match="append-only"):
        async with running.db.transaction() as session:
            await session.execute(text(replace).bindparams(id=event.id.hex))
    assert [one.action for one in await stored(running, api.viewer)] == [event.action]


async def test_the_index_of_changes_is_used(running: Running, viewer: str) -> None:
    """The words of the condition have to be those of the partial index."""
    async with running.db.read() as session:
        explain = "EXPLAIN QUERY PLAN" if running.db.engines[0].dialect.name == "sqlite" else "EXPLAIN"
        await session.execute(text("SELECT 1"))
        if explain == "EXPLAIN":
            await session.execute(text("SET enable_seqscan = off"))
        plan = await session.execute(
            text(
                f"{explain} SELECT id FROM audit_events WHERE viewer_id = 'x' AND is_change ORDER BY created_at DESC, id DESC"
            )
        )
        assert "audit_events_of_changes" in str(plan.all())
