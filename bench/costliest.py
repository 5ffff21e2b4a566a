"""Searches for the operations that use the most of a resource: processor time, bytes, or the event loop without a pause.

    python -m bench.costliest [--seconds 600] [--seed 1] [--write tests/abuse/costliest.json]

Hill climbing over random operations (`operation_generator.py`): those within the limits are executed for a viewer with many
rows (`large_viewer.py`), by the application in this process, on SQLite. The winners are stored in a file, and a test executes
them again.
"""

import argparse
import asyncio
import json
import logging
import re
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import orjson
import structlog

from bench.in_process import InProcessClient, run_lifespan
from bench.large_viewer import ACCOUNTS, PAGE, VIEWER, event_id, job_id, large_viewer_store, result_id
from bench.load import Request
from bench.operation_generator import GeneratedOperation, Literals, OperationGenerator
from bench.ours import bench_settings, build_request
from bench.rows import account_id
from tiktok_accounts_gql.app import create_app, tune_gc
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.schema.build import create_schema

BEST_COUNT = 6  # for each aim
NEW_SHARE = 0.1  # of the operations that do not come from another one
ACCOUNTS_SHOWN = "{ accounts(first: 3) { edges { cursor } } }"
RESULTS = "{ syncJobs(first: 1) { edges { node { results(first: 3) { edges { cursor } } } } } }"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of one answer: its `points`, milliseconds of processor time, and the bytes of the answer.

    `longest_block` is the longest iteration of the event loop, in milliseconds of processor time.
    """

    points: int
    processor: float
    longest_block: float
    answer: int

    @property
    def per_point(self) -> float:
        return self.processor / self.points


class WatchedLoop(asyncio.SelectorEventLoop):
    """Measures its longest iteration, in seconds of this thread's processor time."""

    longest = 0.0

    def _run_once(self) -> None:
        started_at = time.thread_time()
        super()._run_once()  # type: ignore[misc]
        self.longest = max(self.longest, time.thread_time() - started_at)


@asynccontextmanager
async def run_client(url: str) -> AsyncGenerator[InProcessClient]:
    settings = bench_settings(url).model_copy(update={"environment": "production"})
    app = create_app(settings, worker=False)
    async with run_lifespan(app) as state:
        yield InProcessClient(app, state)


def insert_times(document: str) -> str:
    """Replace `<24>` by the time of 24 hours ago: documents are stored for longer than the data that they read."""
    now = utc_now()
    return re.sub(r'"<(\d+)>"', lambda match: json.dumps((now - timedelta(hours=int(match[1]))).isoformat()), document)


async def measure_cost(client: InProcessClient, document: str, times: int = 2) -> Cost | None:
    """Return the least of several executions after a warm-up; None for an operation that is refused."""
    request = build_request(VIEWER, insert_times(document))
    points = await _get_points(client, request)
    if points is None:
        return None
    loop = asyncio.get_running_loop()
    assert isinstance(loop, WatchedLoop)
    processor = longest_block = float("inf")
    answer = 0
    for _ in range(times):
        await asyncio.sleep(0)
        loop.longest, started_at = 0.0, time.process_time()
        answer = len(await client.fetch_any(request))
        await asyncio.sleep(0)
        processor = min(processor, time.process_time() - started_at)
        longest_block = min(longest_block, loop.longest)
    return Cost(points=points, processor=processor * 1000, longest_block=longest_block * 1000, answer=answer)


async def _get_points(client: InProcessClient, request: Request) -> int | None:
    """Return the points that the answer reports; None for one that is refused."""
    answer = orjson.loads(await client.fetch_any(request))
    points: int | None = answer.get("extensions", {}).get("cost")
    return points or None


async def list_literals(client: InProcessClient) -> Literals:
    """Return values of arguments, most of which exist."""
    [job] = (await client.data(build_request(VIEWER, RESULTS)))["syncJobs"]["edges"]
    edges_by_field = {
        "Query.accounts": (await client.data(build_request(VIEWER, ACCOUNTS_SHOWN)))["accounts"]["edges"],
        "SyncJob.results": job["node"]["results"]["edges"],
    }
    cursors: dict[str, list[str]] = {
        f"{field}.{argument}": [json.dumps(edge["cursor"]) for edge in edges]
        for field, edges in edges_by_field.items()
        for argument in ("after", "before")
    }
    jobs = [ids.encode(ids.NodeKind.SYNC_JOB, job_id(number)) for number in range(PAGE)]
    accounts = [ids.encode(ids.NodeKind.ACCOUNT, account_id(VIEWER, number)) for number in range(0, ACCOUNTS, 5)]
    nodes = [ids.encode(ids.NodeKind.AUDIT_EVENT, event_id(number)) for number in range(PAGE)]
    nodes += [ids.encode(ids.NodeKind.SYNC_RESULT, result_id(number, 0)) for number in range(PAGE)]
    return {
        **cursors,
        "after": ['""'],
        "before": ['""'],
        "ID": list(map(json.dumps, [*jobs, *accounts, *nodes, "nobody's"])),
        "Query.account.id": list(map(json.dumps, accounts)),
        "Query.syncJob.id": list(map(json.dumps, jobs)),
        "id": list(map(json.dumps, jobs)),  # of an input
        "accountId": list(map(json.dumps, accounts)),
        "search": ['"a"', '"e"', '"user_"', '"nobody"', f'"{"a" * 100}"'],
        "String": ['"a"', '""'],
        "Int": ["1", "2", "7", "30", "365"],
        "Boolean": ["true", "false"],
        "DateTime": [f'"<{hours}>"' for hours in (0, 1, 24, 167, 398, 24 * 30, 24 * 398)],
    }


# What the search maximizes
AIMS = {
    "processor": lambda cost: cost.processor,
    "processor for its points": lambda cost: cost.processor / (cost.points + 20),
    "still": lambda cost: cost.longest_block,
    "answer": lambda cost: cost.answer,
}
Candidate = tuple[Cost, GeneratedOperation]


async def search(client: InProcessClient, seconds: float, random: Random) -> dict[str, list[Candidate]]:
    """Return the best few operations for each aim, the best first."""
    generator = OperationGenerator(create_schema(), await list_literals(client), random)
    best: dict[str, list[Candidate]] = {aim: [] for aim in AIMS}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        candidates = best[random.choice(list(AIMS))]
        is_new = not candidates or random.random() < NEW_SHARE
        operation = generator.generate() if is_new else generator.mutate(random.choice(candidates)[1])
        if (cost := await measure_cost(client, str(operation))) is not None:
            for aim, measure in AIMS.items():
                _add_candidate(best[aim], cost, operation, measure)
    return best


def _add_candidate(
    candidates: list[Candidate], cost: Cost, operation: GeneratedOperation, measure: Callable[[Cost], float]
) -> None:
    """Add an operation, if it is new, and drop the worst beyond BEST_COUNT."""
    if any(str(operation) == str(candidate) for _, candidate in candidates):
        return
    candidates.append((cost, operation))
    candidates.sort(key=lambda candidate: measure(candidate[0]), reverse=True)
    del candidates[BEST_COUNT:]


async def _main(url: str, seconds: float, seed: int) -> dict[str, str]:
    """Print and return the best operation for each aim."""
    async with run_client(url) as client:
        tune_gc()
        best = await search(client, seconds, Random(seed))
        winners = {}
        for aim, candidates in best.items():
            _, operation = candidates[0]
            cost = await measure_cost(client, str(operation), times=5)
            assert cost is not None
            winners[aim] = str(operation)
            print(aim, json.dumps(asdict(cost)), f"{cost.per_point:.3f} ms a point\n  {operation}\n")
    return winners


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.costliest")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR)
    )  # not a line for each request
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=WatchedLoop) as runner:
        winners = runner.run(_main(large_viewer_store(Path(folder)), options.seconds, options.seed))
    if options.write:
        options.write.write_text(json.dumps(winners, indent=2) + "\n")


if __name__ == "__main__":
    main()
