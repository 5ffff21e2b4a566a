"""Sends requests to the application in this process, which callgrind runs: `count_instructions.py DATABASE_URL`."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from bench.callgrind import InstructionCounter
from bench.documents import CASES, SUMMARY
from bench.in_process import InProcessClient, run_lifespan
from bench.load import Request
from bench.ours import bench_settings, build_list_request, build_request
from tiktok_accounts_gql.app import create_app, tune_gc

VIEWERS = 4
WARM_UP, BATCH, BATCHES = 2 * VIEWERS, VIEWERS, 5  # of each operation; BATCH and WARM_UP in requests
ACCOUNT = "query Account($id: ID!) { account(id: $id) { id displayName username status followerCount lastSyncedAt } }"
DASHBOARD = Path(__file__).parents[1] / "operations" / "accounts.graphql"
Requests = list[Request]


async def operations(client: InProcessClient) -> dict[str, Requests]:
    """Return the requests of each of five operations, one for each viewer."""
    list_of_20 = CASES[0]
    pages = [await client.data(build_list_request(viewer, list_of_20, None)) for viewer in range(VIEWERS)]
    ids = [page["accounts"]["edges"][viewer]["node"]["id"] for viewer, page in enumerate(pages)]
    cursors = [page["accounts"]["edges"][-1]["cursor"] for page in pages]
    variables = {
        "filter": {"status": ["ACTIVE", "EXPIRED"]},
        "orderBy": {"field": "FOLLOWER_COUNT", "direction": "DESC"},
    }
    return {
        "list of 20": _for_each_viewer(
            lambda viewer: build_list_request(viewer, list_of_20, cursors[viewer] if viewer % 2 else None)
        ),
        "list of 50, totalCount": _for_each_viewer(
            lambda viewer: build_list_request(viewer, CASES[3], cursors[viewer] if viewer % 2 else None)
        ),
        "account": _for_each_viewer(lambda viewer: build_request(viewer, ACCOUNT, id=ids[viewer])),
        "accountsSummary": _for_each_viewer(lambda viewer: build_request(viewer, SUMMARY)),
        "operations/accounts.graphql": _for_each_viewer(
            lambda viewer: build_request(viewer, DASHBOARD.read_text(), **variables)
        ),
    }


def _for_each_viewer(build: Callable[[int], Request]) -> Requests:
    return [build(viewer) for viewer in range(VIEWERS)]


async def count(client: InProcessClient, counter: InstructionCounter) -> None:
    """Dump batches of each operation, after a warm-up for what is done once: imports, plans, statements, caches."""
    for name, requests in (await operations(client)).items():
        await _send(client, requests, WARM_UP)
        tune_gc()  # as the server does: a full garbage collection would fall into some of the batches
        for _ in range(BATCHES):
            await _send(client, requests, BATCH)  # a dump takes its time: what result due meanwhile is done with before
            counter.start()
            await _send(client, requests, BATCH)
            counter.stop()
            counter.dump(name)


async def _send(client: InProcessClient, requests: Requests, times: int) -> None:
    for number in range(times):
        await client.fetch(requests[number % len(requests)])


async def main(database_url: str) -> None:
    app = create_app(bench_settings(database_url), worker=False)
    async with run_lifespan(app) as state:
        await count(InProcessClient(app, state), InstructionCounter())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
