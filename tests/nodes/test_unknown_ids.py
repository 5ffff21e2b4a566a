"""Texts that are no ids of this API lead nowhere, as ids of what does not exist do."""

import base64
from typing import Any
from uuid import uuid4

import pytest

from tests.support.rows import account, store
from tests.support.server import Api
from tests.support.sockets import connected
from tests.support.statements import counted_statements
from tests.support.sync_jobs import POLL, START
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.wiring import Running

NODES = "query Nodes($ids: [ID!]!) { nodes(ids: $ids) { id } }"
READ = """
query Read($id: ID!) {
  node(id: $id) { id }
  account(id: $id) { id }
  syncJob(id: $id) { id }
  auditEvents(filter: { accountId: $id }) { totalCount: __typename edges { node { id } } }
}
"""
NOTHING = {
    "node": None,
    "account": None,
    "syncJob": None,
    "auditEvents": {"totalCount": "AuditEventConnection", "edges": []},
}
MUTATIONS = {
    "syncAccount": "mutation M($id: ID!) { m: syncAccount(input: { id: $id }) { userErrors { code } } }",
    "disconnectAccount": "mutation M($id: ID!) { m: disconnectAccount(input: { id: $id }) { userErrors { code } } }",
    "cancelSyncJob": "mutation M($id: ID!) { m: cancelSyncJob(input: { id: $id }) { userErrors { code } } }",
    "startAccountAuthorization": (
        "mutation M($id: ID!) { m: startAccountAuthorization(input: { accountId: $id }) { userErrors { code } } }"
    ),
    "syncAccounts": (
        "mutation M($id: ID!) { m: syncAccounts(input: { target: { failedInJob: $id } }) { userErrors { code } } }"
    ),
}
ACCOUNT = ids.encode(ids.NodeKind.ACCOUNT, uuid4())
GARBAGE = [
    pytest.param("", id="empty"),
    pytest.param("x", id="one-character"),
    pytest.param("garbage", id="a-word"),
    pytest.param("!", id="no-base64"),
    pytest.param("QQ", id="a-kind-without-a-key"),
    pytest.param("VGlrVG9rOjE=", id="another-api's"),
    pytest.param(f"{ACCOUNT}=", id="padded"),
    pytest.param(f" {ACCOUNT}\n", id="with-blanks"),
    pytest.param(ACCOUNT[:-1], id="cut-off"),
    pytest.param(ACCOUNT + "AA", id="too-long"),
    pytest.param(ACCOUNT[:-1] + ("B" if ACCOUNT[-1] != "B" else "C"), id="not-canonical"),
    pytest.param("_" * 23, id="no-kind"),
    pytest.param(ids.encode(ids.NodeKind.VIEWER, "somebody"), id="a-viewer's"),
    pytest.param(ids.encode(ids.NodeKind.SYNC_RESULT, uuid4()), id="a-result's"),
    pytest.param(base64.urlsafe_b64encode(b"V\xff\xfe").decode(), id="a-viewer's-in-broken-utf-8"),
    pytest.param("é💥", id="unicode"),
    pytest.param("\u0000", id="nul"),
    pytest.param("A" * 10_000, id="10,000-characters"),
    pytest.param("../../etc/passwd", id="a-path"),
    pytest.param(5, id="a-number"),
]


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_what_is_no_id_reads_as_nothing(api: Api, running: Running, garbage: Any) -> None:
    [row] = await store(running.db, account(api.viewer))
    good = ids.encode(ids.NodeKind.ACCOUNT, row.id)
    found = await api.data(NODES, ids=[garbage, good, garbage])
    assert found["nodes"] == [None, {"id": good}, None]
    if garbage == "":  # in a filter, as everywhere, an empty text is no condition
        return
    assert await api.data(READ, id=garbage) == NOTHING
    # `__schema` cannot be compiled: graphql-core answers
    core = await api.data(READ.replace("node(", "__schema { queryType { name } } node(", 1), id=garbage)
    assert core == {"__schema": {"queryType": {"name": "Query"}}, **NOTHING}


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_what_is_no_id_is_not_found_by_changes(api: Api, running: Running, garbage: Any) -> None:
    [row] = await store(running.db, account(api.viewer))
    with counted_statements() as statements:
        for name, mutation in MUTATIONS.items():
            if garbage == "" and name == "startAccountAuthorization":  # an optional input: it is absent
                continue
            assert await api.data(mutation, id=garbage) == {"m": {"userErrors": [{"code": "NOT_FOUND"}]}}
    assert statements.writes_of("accounts") == 0
    assert (await api.data(NODES, ids=[ids.encode(ids.NodeKind.ACCOUNT, row.id)]))["nodes"] != [None]


async def test_what_is_no_id_is_no_job_to_watch(api: Api) -> None:
    async with connected(api) as socket:
        for number, garbage in enumerate(("", "garbage", "é", ACCOUNT)):
            watched = "subscription W($id: ID!) { syncJobUpdated(id: $id) { id } }"
            await socket.subscribe(watched, str(number), id=garbage)
            assert (await socket.error(str(number)))["extensions"]["code"] == "NOT_FOUND"


async def test_each_id_that_is_none_is_a_result_of_its_own(api: Api, running: Running) -> None:
    [row] = await store(running.db, account(api.viewer))
    target = {"ids": ["garbage", "", "garbage", "é", ids.encode(ids.NodeKind.ACCOUNT, row.id)]}
    started = (await api.data(START, input={"target": target}))["syncAccounts"]
    assert (started["userErrors"], started["job"]["totalCount"]) == ([], 4)
    job = (await api.data(POLL, id=started["job"]["id"], first=50))["syncJob"]
    assert len({edge["node"]["accountId"] for edge in job["results"]["edges"]}) == 4


async def test_texts_that_differ_are_inputs_that_differ(api: Api) -> None:
    async def start(*asked: str) -> Any:
        return (await api.data(START, input={"target": {"ids": asked}, "idempotencyKey": "key"}))["syncAccounts"]

    first, again, other = await start("garbage"), await start("garbage"), await start("rubbish")
    assert first["job"]["id"] == again["job"]["id"]
    assert other["userErrors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
