"""Subscription.syncJobUpdated"""

import asyncio
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from tests.live.acting import WATCH_JOB, many, start_job
from tests.support.server import Api
from tests.support.sockets import connected
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.resolvers import ids


async def test_a_job_is_told_until_it_ends(api: Api, tiktok: TikTok) -> None:
    job_id = await start_job(api, ids=await many(tiktok, api.viewer, 20))
    states: list[dict[str, Any]] = []
    times: list[float] = []
    async with connected(api) as socket:
        await socket.subscribe(WATCH_JOB, id=job_id)
        while not states or not states[-1]["finishedAt"]:
            states.append((await socket.next())["syncJobUpdated"])
            times.append(asyncio.get_running_loop().time())
        assert await socket.receive() == {"id": "1", "type": "complete"}
    assert {state["id"] for state in states} == {job_id}
    assert (states[-1]["state"], states[-1]["succeededCount"], states[-1]["progress"]) == ("SUCCEEDED", 20, 1)
    done = [state["succeededCount"] for state in states]
    assert done == sorted(done)
    assert len(states) >= 3
    assert min(later - earlier for earlier, later in pairwise(times)) > 0.2


async def test_a_job_that_has_ended_is_told_once(api: Api) -> None:
    job_id = await start_job(api, filter={"search": "nobody"})
    async with connected(api) as socket:
        await socket.subscribe(WATCH_JOB, id=job_id)
        assert (await socket.next())["syncJobUpdated"]["progress"] == 1
        assert await socket.receive() == {"id": "1", "type": "complete"}


async def test_a_canceled_job_ends(api: Api, tiktok: TikTok) -> None:
    job_id = await start_job(api, ids=await many(tiktok, api.viewer, 10))
    async with connected(api) as socket:
        await socket.subscribe(WATCH_JOB, id=job_id)
        await socket.next()
        await api.data("mutation C($id: ID!) { cancelSyncJob(input: {id: $id}) { job { id } } }", id=job_id)
        while not (state := (await socket.next())["syncJobUpdated"])["finishedAt"]:
            continue
    assert state["state"] == "CANCELED"


async def test_all_who_watch_a_job_are_told(api: Api, tiktok: TikTok) -> None:
    job_id = await start_job(api, ids=await many(tiktok, api.viewer, 3))
    async with connected(api) as one, connected(api) as two:
        for socket in (one, two):
            await socket.subscribe(WATCH_JOB, "a", id=job_id)
        for socket in (one, two):
            while not (state := (await socket.next("a"))["syncJobUpdated"])["finishedAt"]:
                continue
            assert state["succeededCount"] == 3


@pytest.mark.parametrize("kind", [ids.NodeKind.SYNC_JOB, ids.NodeKind.ACCOUNT])
async def test_an_unknown_job_is_not_found(api: Api, kind: ids.NodeKind) -> None:
    async with connected(api) as socket:
        await socket.subscribe(WATCH_JOB, id=ids.encode(kind, uuid4()))
        error = await socket.error()
    assert error["extensions"]["code"] == "NOT_FOUND"
    assert error["message"] == "There is no such sync job."
    assert error["path"] == ["syncJobUpdated"]


async def test_a_strangers_job_is_as_an_unknown_one(api: Api, stranger: Api) -> None:
    theirs = await start_job(stranger, filter={})
    async with connected(api) as socket:
        await socket.subscribe(WATCH_JOB, id=theirs)
        stolen = await socket.error()
        await socket.subscribe(WATCH_JOB, "2", id=ids.encode(ids.NodeKind.SYNC_JOB, uuid4()))
        assert {**stolen, "path": None} == {**await socket.error("2"), "path": None}


async def test_an_id_that_is_none_is_not_found(api: Api) -> None:
    async with connected(api) as socket:
        await socket.subscribe(WATCH_JOB, id="!")
        assert (await socket.error())["extensions"]["code"] == "NOT_FOUND"


async def test_watching_a_job_is_audited_once(api: Api, tiktok: TikTok) -> None:
    job_id = await start_job(api, ids=await many(tiktok, api.viewer, 5))
    async with connected(api) as socket:
        await socket.subscribe(WATCH_JOB, id=job_id)
        while not (await socket.next())["syncJobUpdated"]["finishedAt"]:
            continue
    query = "{ auditEvents(filter: {action: [SYNC_JOBS_READ]}) { edges { node { actor requestId ipAddress } } } }"
    [edge] = (await api.data(query))["auditEvents"]["edges"]
    assert (edge["node"]["actor"], edge["node"]["ipAddress"]) == ("USER", "127.0.0.1")
    assert edge["node"]["requestId"]
