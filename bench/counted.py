"""Under callgrind: the application in process, without sockets; `counted.py DATABASE_URL`."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from bench.callgrind import Counter
from bench.documents import CASES, SUMMARY
from bench.in_process import InProcess, started
from bench.load import Ask
from bench.ours import ask, bench_settings, list_ask
from tiktok_accounts_gql.app import create_app, tune_gc

VIEWERS = 4
WARM_UP, BATCH, BATCHES = 2 * VIEWERS, VIEWERS, 5  # of each operation; BATCH and WARM_UP in requests
ACCOUNT = "query Account($id: ID!) { account(id: $id) { id displayName username status followerCount lastSyncedAt } }"
DASHBOARD = Path(__file__).parents[1] / "operations" / "accounts.graphql"
Asks = list[Ask]


async def operations(client: InProcess) -> dict[str, Asks]:
    """Five, each asked by several viewers."""
    some = CASES[0]
    pages = [await client.data(list_ask(viewer, some, None)) for viewer in range(VIEWERS)]
    ids = [page["accounts"]["edges"][viewer]["node"]["id"] for viewer, page in enumerate(pages)]
    cursors = [page["accounts"]["edges"][-1]["cursor"] for page in pages]
    variables = {
        "filter": {"status": ["ACTIVE", "EXPIRED"]},
        "orderBy": {"field": "FOLLOWER_COUNT", "direction": "DESC"},
    }
    return {
        "list of 20": _each(lambda viewer: list_ask(viewer, some, cursors[viewer] if viewer % 2 else None)),
        "list of 50, totalCount": _each(
            lambda viewer: list_ask(viewer, CASES[3], cursors[viewer] if viewer % 2 else None)
        ),
        "account": _each(lambda viewer: ask(viewer, ACCOUNT, id=ids[viewer])),
        "accountsSummary": _each(lambda viewer: ask(viewer, SUMMARY)),
        "operations/accounts.graphql": _each(lambda viewer: ask(viewer, DASHBOARD.read_text(), **variables)),
    }


def _each(make: Callable[[int], Ask]) -> Asks:
    return [make(viewer) for viewer in range(VIEWERS)]


async def count(client: InProcess, counter: Counter) -> None:
    """Dumps batches of each operation. What was done once is over by then: imports, plans, statements, caches."""
    for name, asks in (await operations(client)).items():
        await _ask(client, asks, WARM_UP)
        tune_gc()  # as the server does: else a look at all objects falls into one batch or another
        for _ in range(BATCHES):
            await _ask(client, asks, BATCH)  # a dump takes its time: what came due meanwhile is done with before
            counter.start()
            await _ask(client, asks, BATCH)
            counter.stop()
            counter.dump(name)


async def _ask(client: InProcess, asks: Asks, times: int) -> None:
    for number in range(times):
        await client.answer(asks[number % len(asks)])


async def main(database_url: str) -> None:
    app = create_app(bench_settings(database_url), worker=False)
    async with started(app) as state:
        await count(InProcess(app, state), Counter())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
