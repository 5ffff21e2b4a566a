"""Many jobs with their results and accounts: one statement for a kind."""

import pytest

from tests.support.batches import Scene
from tests.support.server import Api
from tests.support.statements import counted_statements

RESULTS = (
    "results(first: 3) { totalCount edges { node { accountId account { displayName } } } pageInfo { hasNextPage } }"
)
LAST = "last: results(last: 2) { edges { node { accountId } } pageInfo { hasPreviousPage } }"
QUERY = f"{{ syncJobs(first: 50) {{ edges {{ node {{ totalCount {RESULTS} {LAST} }} }} }} }}"


@pytest.fixture
def scene(shared_scene: Scene) -> Scene:
    return shared_scene


async def test_results_of_many_jobs_are_one_statement_for_each_kind_of_page(api: Api, scene: Scene) -> None:
    accounts = await scene.accounts(api.viewer, 5)
    for _ in range(8):
        await scene.start(api.viewer, [account.id for account in accounts])
    with counted_statements() as statements:
        answer = await api.data(QUERY)
    jobs = [edge["node"] for edge in answer["syncJobs"]["edges"]]
    assert len(jobs) == 8
    alone = [job["results"]["edges"] for job in jobs]
    assert [[edge["node"]["account"]["displayName"] for edge in edges] for edges in alone] == [
        [account.display_name for account in accounts[:3]]
    ] * 8
    assert all(job["results"]["totalCount"] == 5 and job["results"]["pageInfo"]["hasNextPage"] for job in jobs)
    lasts = [job["last"]["edges"][-1]["node"]["accountId"] for job in jobs]
    assert len(set(lasts)) == 1
    assert all(job["last"]["pageInfo"]["hasPreviousPage"] for job in jobs)
    reads = [one for one in statements if one.startswith("SELECT") and "sync_results" in one]
    mine = [one for one in reads if "outcome =" not in one]  # with it: the engine's, that works through the jobs
    assert len(mine) == 3, mine
