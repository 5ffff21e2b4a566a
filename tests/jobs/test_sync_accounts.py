"""Mutation.syncAccounts, Query.syncJob and Query.syncJobs"""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.support.server import Api
from tests.support.sync_jobs import POLL, START, connect_accounts, count_rows, global_id, start, wait_until_finished
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db.models import AuditEvent, Snapshot
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running


async def test_every_account_is_read_once_and_the_job_ends(api: Api, tiktok: TikTok, running: Running) -> None:
    accounts = await connect_accounts(tiktok, api.viewer, 12)
    payload = await start(api, {"filter": {}})
    assert payload["userErrors"] == []
    assert (payload["job"]["totalCount"], payload["job"]["state"]) == (12, "QUEUED")
    assert payload["job"]["estimatedFinishAt"] is not None
    job = await wait_until_finished(api, payload["job"], first=50)
    assert (job["state"], job["succeededCount"], job["failedCount"], job["progress"]) == ("SUCCEEDED", 12, 0, 1)
    assert job["results"]["totalCount"] == 12
    asked = [edge["node"]["accountId"] for edge in job["results"]["edges"]]
    assert asked == [global_id(account.id) for account in reversed(accounts)]
    assert await count_rows(running, Snapshot, api.viewer) == 24
    assert await count_rows(running, AuditEvent, api.viewer, action="ACCOUNT_SYNCED") == 12
    assert await count_rows(running, AuditEvent, api.viewer, action="SYNC_JOB_STARTED") == 1
    assert await count_rows(running, AuditEvent, api.viewer, action="SYNC_JOB_FINISHED") == 1


async def test_one_account_failing_fails_no_other(api: Api, stranger: Api, tiktok: TikTok) -> None:
    good, broken = await connect_accounts(tiktok, api.viewer, 2)
    theirs = await tiktok.connect(stranger.viewer)
    tiktok.sandbox.state.revoke_grant(broken.open_id)
    unknown = uuid4()
    asked = [global_id(key) for key in (broken.id, good.id, theirs.id, unknown, good.id)]
    job = await wait_until_finished(api, (await start(api, {"ids": asked}))["job"])
    assert (job["state"], job["totalCount"], job["succeededCount"], job["failedCount"]) == ("PARTIALLY_FAILED", 4, 1, 3)
    results = [edge["node"] for edge in job["results"]["edges"]]
    assert [result["accountId"] for result in results] == asked[:4]
    codes = [result["error"] and result["error"]["code"] for result in results]
    assert codes == ["REAUTHORIZATION_REQUIRED", None, "NOT_FOUND", "NOT_FOUND"]
    assert [result["account"] is None for result in results] == [False, False, True, True]
    again = await start(api, {"failedInJob": job["id"]})
    assert again["job"]["totalCount"] == 3


async def test_a_passing_failure_is_tried_again(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.fail(USER_INFO_PATH, account, status=429, error="rate_limit_exceeded", times=2)
    job = await wait_until_finished(api, (await start(api, {"ids": [global_id(account.id)]}))["job"])
    assert job["state"] == "SUCCEEDED"
    assert await count_rows(running, AuditEvent, api.viewer, action="ACCOUNT_SYNC_FAILED") == 2


async def test_an_empty_job_has_succeeded_at_once(api: Api) -> None:
    job = (await start(api, {"filter": {"search": "nobody"}}))["job"]
    assert (job["state"], job["progress"], job["totalCount"]) == ("SUCCEEDED", 1, 0)


async def test_the_same_key_answers_the_same_job(api: Api, tiktok: TikTok, running: Running) -> None:
    await connect_accounts(tiktok, api.viewer, 2)
    first, second = await asyncio.gather(start(api, {"filter": {}}, "key"), start(api, {"filter": {}}, "key"))
    assert first["job"]["id"] == second["job"]["id"]
    other = await start(api, {"filter": {"search": "x"}}, "key")
    assert other["userErrors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
    await wait_until_finished(api, first["job"])
    assert await count_rows(running, AuditEvent, api.viewer, action="ACCOUNT_SYNCED") == 2


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ({"ids": []}, "INVALID_INPUT"),
        ({"ids": [global_id(uuid4()) for _ in range(501)]}, "TOO_MANY_IDS"),
        ({"failedInJob": ids.encode(ids.NodeKind.SYNC_JOB, uuid4())}, "NOT_FOUND"),
        ({"failedInJob": "?"}, "NOT_FOUND"),
        ({"failedInJob": ""}, "NOT_FOUND"),
    ],
)
async def test_mistakes_are_explained(api: Api, target: dict[str, Any], code: str) -> None:
    payload = await start(api, target)
    assert (payload["job"], payload["userErrors"][0]["code"]) == (None, code)


@pytest.mark.parametrize(
    "target", [{}, {"filter": {}, "ids": ["x"]}, {"ids": None}, {"filter": {}, "failedInJob": "x"}]
)
async def test_a_target_is_exactly_one(api: Api, target: dict[str, Any]) -> None:
    error = await api.error(START, input={"target": target})
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_results_page_in_order_and_by_outcome(api: Api, tiktok: TikTok) -> None:
    accounts = await connect_accounts(tiktok, api.viewer, 5)
    tiktok.sandbox.state.revoke_grant(accounts[2].open_id)
    job = await wait_until_finished(api, (await start(api, {"filter": {}}))["job"], first=2)
    walked, page = [], job["results"]
    while True:
        walked += [edge["node"]["accountId"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
        page = (await api.data(POLL, id=job["id"], first=2, after=after))["syncJob"]["results"]
    assert walked == [global_id(account.id) for account in reversed(accounts)]
    failed = (await api.data(POLL, id=job["id"], filter={"outcome": ["FAILED"]}))["syncJob"]["results"]
    assert [edge["node"]["accountId"] for edge in failed["edges"]] == [global_id(accounts[2].id)]
    assert failed["totalCount"] == 1
