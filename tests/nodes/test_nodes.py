"""Query.node, Query.nodes, Query.viewer"""

from typing import Any
from uuid import uuid4

from tests.support.rows import account, store
from tests.support.server import Api
from tests.support.statements import counted_statements
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.wiring import Running

NODE = "query Node($id: ID!) { node(id: $id) { __typename id ... on TikTokAccount { displayName } } }"
NODES = "query Nodes($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
EVENTS = "{ auditEvents(first: 50) { edges { node { id action accountId account { displayName } } } } }"


def global_id(key: Any) -> str:
    return ids.encode(ids.NodeKind.ACCOUNT, key)


async def test_every_kind_of_object_is_found_by_its_id(api: Api, running: Running) -> None:
    [row] = await store(running.db, account(api.viewer))
    viewer = (await api.data("{ viewer { id userId } }"))["viewer"]
    await api.data("{ accountsSummary { totalAccounts } }")
    event = (await api.data(EVENTS))["auditEvents"]["edges"][0]["node"]
    assert viewer["userId"] == api.viewer
    data = await api.data(NODES, ids=[event["id"], viewer["id"], global_id(row.id), event["id"]])
    assert [node["__typename"] for node in data["nodes"]] == ["AuditEvent", "Viewer", "TikTokAccount", "AuditEvent"]
    assert (await api.data(NODE, id=global_id(row.id)))["node"]["displayName"] == "Account 0000"


async def test_somebody_elses_objects_do_not_exist(api: Api, stranger: Api, running: Running) -> None:
    [row] = await store(running.db, account(stranger.viewer))
    await stranger.data("{ accountsSummary { totalAccounts } }")
    event = (await stranger.data(EVENTS))["auditEvents"]["edges"][0]["node"]["id"]
    viewer = (await stranger.data("{ viewer { id } }"))["viewer"]["id"]
    [mine] = await store(running.db, account(api.viewer))
    node_ids = [global_id(row.id), event, viewer, global_id(uuid4()), global_id(mine.id)]
    data = (await api.data(NODES, ids=node_ids))["nodes"]
    assert data == [None, None, None, None, {"__typename": "TikTokAccount", "id": global_id(mine.id)}]
    for node_id in node_ids[:4]:
        assert (await api.data(NODE, id=node_id)) == {"node": None}


async def test_an_id_of_something_else_is_no_account(api: Api) -> None:
    viewer = (await api.data("{ viewer { id } }"))["viewer"]["id"]
    assert await api.data("query A($id: ID!) { account(id: $id) { id } }", id=viewer) == {"account": None}


async def test_fifty_ids_at_most(api: Api) -> None:
    assert (await api.data(NODES, ids=[global_id(uuid4()) for _ in range(50)]))["nodes"] == [None] * 50
    error = await api.error(NODES, ids=[global_id(uuid4()) for _ in range(51)])
    assert (error["message"], error["extensions"]["code"]) == ("`ids` has 50 ids at most.", "BAD_USER_INPUT")


async def test_fifty_nodes_cost_one_statement(api: Api, running: Running) -> None:
    rows = await store(running.db, *[account(api.viewer, number) for number in range(50)])
    with counted_statements() as statements:
        data = await api.data(NODES, ids=[global_id(row.id) for row in rows])
    assert [node["id"] for node in data["nodes"]] == [global_id(row.id) for row in rows]
    assert statements.reads_of("accounts") == 1
    assert statements.writes_of("audit_events") == 1


async def test_the_accounts_of_an_audit_page_cost_one_statement(api: Api, running: Running) -> None:
    rows = await store(running.db, *[account(api.viewer, number) for number in range(20)])
    await api.data(NODES, ids=[global_id(row.id) for row in rows])
    with counted_statements() as statements:
        page = (await api.data(EVENTS))["auditEvents"]["edges"]
    assert sum(edge["node"]["account"] is not None for edge in page) == 20
    assert statements.reads_of("accounts") == 1
    assert statements.reads_of("audit_events") == 1


async def test_the_history_of_a_whole_page_costs_one_statement_each(api: Api, running: Running) -> None:
    await store(running.db, *[account(api.viewer, number) for number in range(50)])
    query = "{ accounts(first: 50) { edges { node { id statsHistory { recordedAt } growth { since } } } } }"
    with counted_statements() as statements:
        page = (await api.data(query))["accounts"]["edges"]
    assert len(page) == 50
    assert statements.reads_of("accounts") == 2  # the page, and the growth, whose statement begins at the accounts
    assert statements.reads_of("snapshots") == 2
