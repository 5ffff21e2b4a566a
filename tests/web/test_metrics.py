"""What the server counts, for Prometheus: without a token, and about no viewer."""

import asyncio
import json
import re
import time
from collections import Counter

import httpx
import pytest

from tests.support.breaking import refuse
from tests.support.rows import account, store
from tests.support.server import Api, started
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.web.graphiql.examples import ACCOUNT_ID, load_examples

OPERATIONS = re.compile(r'^accounts_operations_total\{path="([a-z-]+)",reason="([a-z_]+)"\} ([0-9.]+)$', re.MULTILINE)
LOOKUPS = re.compile(r'^accounts_list_cache_lookups_total\{outcome="([a-z]+)"\} ([0-9.]+)$', re.MULTILINE)
RAISES_BELOW_A_LIST = "{ accounts { edges { node { username growth(days: 0) { since } } } } }"


async def counted(api: Api) -> Counter[tuple[str, str]]:
    page = await api.http.get("/metrics")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/plain")
    return Counter({(path, reason): int(float(count)) for path, reason, count in OPERATIONS.findall(page.text)})


async def test_it_is_shown_without_a_token_and_names_no_viewer(api: Api) -> None:
    await api.data("{ viewer { id } }")
    page = (await api.http.get("/metrics")).text
    assert "accounts_request_duration_seconds_count" in page
    assert "process_resident_memory_bytes" in page
    assert api.viewer not in page


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("{ viewer { id } }", "planned"),
        ("{ __schema { queryType { name } } }", "not_plannable"),
        ('mutation { cancelSyncJob(input: { id: "" }) { success: __typename } }', "not_a_query"),
        ("query ($i: ID!) { node(id: $i) { id } }", "input_refused"),
        ("{ accounts(first: 51) { totalCount } }", "resolver_raised"),
    ],
)
async def test_an_operation_is_counted_with_its_reason(api: Api, settings: Settings, query: str, reason: str) -> None:
    before = await counted(api)
    await api.post(query)
    way = ("compiled" if reason == "planned" else "graphql-core", reason)
    if not settings.compiled_operations:
        way = ("graphql-core", "turned_off")
    assert await counted(api) - before == {way: 1}


async def test_every_saved_query_is_answered_by_a_plan(api: Api, tiktok: TikTok, settings: Settings) -> None:
    account = await tiktok.connect(api.viewer)
    way = ("compiled", "planned") if settings.compiled_operations else ("graphql-core", "turned_off")
    for example in load_examples():
        if "mutation" in example.query:
            continue
        before = await counted(api)
        variables = (example.variables or "{}").replace(ACCOUNT_ID, ids.encode(ids.NodeKind.ACCOUNT, account.id))
        await api.data(example.query, **json.loads(variables))
        assert await counted(api) - before == {way: 1}, example.name


async def test_a_kept_answer_is_counted(api: Api) -> None:
    async def lookups() -> Counter[str]:
        page = (await api.http.get("/metrics")).text
        return Counter({outcome: int(float(count)) for outcome, count in LOOKUPS.findall(page)})

    before = await lookups()
    for query in (
        "{ accountsSummary { totalAccounts } }",
        "{ accountsSummary { totalAccounts } }",
        "{ viewer { id } }",
    ):
        await api.data(query)
    assert await lookups() - before == {"hit": 1, "miss": 1, "bypass": 1}


async def test_a_list_above_a_failure_is_read_and_audited_once(api: Api, tiktok: TikTok) -> None:
    await tiktok.connect(api.viewer)
    answer = (await api.post(RAISES_BELOW_A_LIST)).json()
    assert [error["path"] for error in answer["errors"]] == [["accounts", "edges", 0, "node", "growth"]]
    assert len(answer["data"]["accounts"]["edges"]) == 1
    listed = await api.data("{ auditEvents(filter: { action: [ACCOUNTS_LISTED] }) { edges { node { id } } } }")
    assert len(listed["auditEvents"]["edges"]) == 1


async def test_what_fails_in_the_background_is_counted_by_its_kind(own_settings: Settings, viewer: str) -> None:
    """A webhook whose effect the database refuses: counted once, and not at every look."""
    async with (
        started(own_settings) as (server, url),
        httpx.AsyncClient(base_url=url, verify=get_ssl_context()) as client,
    ):
        services = server.lifespan.state["services"]
        db = server.lifespan.state["db"]
        await store(db, account(viewer, open_id=f"open-{viewer}"))
        await refuse(db, "UPDATE", "accounts", f"NEW.viewer_id = '{viewer}'")
        told = {"event": "authorization.removed", "user_openid": f"open-{viewer}", "create_time": int(time.time()) + 60}
        await services.webhooks.receive(json.dumps(told | {"content": '{"reason": 1}'}).encode())
        async with asyncio.timeout(10):
            page = ""
            while 'accounts_background_failures_total{kind="webhook"} 1.0' not in page:
                page = (await client.get("/metrics")).text
    assert 'accounts_background_failures_total{kind="task"} 0.0' in page
    assert viewer not in page
