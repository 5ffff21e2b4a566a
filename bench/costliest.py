"""Looks for the operations that take most of what they may ask for: processor, bytes, or the event loop in one piece.

    python -m bench.costliest [--seconds 600] [--seed 1] [--write tests/abuse/costliest.json]

A climb over operations made at random (`generated.py`): those that are admitted are asked by a viewer who has much
(`much.py`), of the application in this process, on SQLite. The winners are kept in a file, which a test asks again.
"""

import argparse
import asyncio
import json
import logging
import re
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import orjson
import structlog

from bench.generated import Generated, Generator, Texts
from bench.in_process import InProcess, started
from bench.much import ACCOUNTS, PAGE, VIEWER, event_id, job_id, much_store, result_id
from bench.ours import ask, bench_settings
from bench.rows import account_id
from tiktok_accounts_gql.app import create_app, tune_gc
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.schema.build import create_schema

KEPT = 6
ACCOUNTS_SHOWN = "{ accounts(first: 3) { edges { cursor } } }"
RESULTS = "{ syncJobs(first: 1) { edges { node { results(first: 3) { edges { cursor } } } } } }"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one answer takes. Times are of the processor, in milliseconds: what else the machine does is not in them.

    `still`: the longest time for which the event loop turned to nobody else.
    """

    points: int
    processor: float
    still: float
    answer: int

    @property
    def per_point(self) -> float:
        return self.processor / self.points


class WatchedLoop(asyncio.SelectorEventLoop):
    """Notes the longest of its turns, in seconds of this thread's processor time."""

    longest = 0.0

    def _run_once(self) -> None:
        began = time.thread_time()
        super()._run_once()  # type: ignore[misc]
        self.longest = max(self.longest, time.thread_time() - began)


@asynccontextmanager
async def client(url: str) -> AsyncGenerator[InProcess]:
    settings = bench_settings(url).model_copy(update={"environment": "production"})
    app = create_app(settings, worker=False)
    async with started(app) as state:
        yield InProcess(app, state)


def dated(document: str) -> str:
    """With times in place of `<24>`, which is a day ago: documents are kept for longer than data."""
    now = utc_now()
    return re.sub(r'"<(\d+)>"', lambda found: json.dumps((now - timedelta(hours=int(found[1]))).isoformat()), document)


async def cost(client: InProcess, document: str, times: int = 2) -> Cost | None:
    """The least of several times, after a first one. None if it is refused."""
    asked = ask(VIEWER, dated(document))
    points = await _points(client, asked)
    if points is None:
        return None
    loop = asyncio.get_running_loop()
    assert isinstance(loop, WatchedLoop)
    processor = still = float("inf")
    answer = 0
    for _ in range(times):
        await asyncio.sleep(0)
        loop.longest, began = 0.0, time.process_time()
        answer = len(await client.answered(asked))
        await asyncio.sleep(0)
        processor = min(processor, time.process_time() - began)
        still = min(still, loop.longest)
    return Cost(points=points, processor=processor * 1000, still=still * 1000, answer=answer)


async def _points(client: InProcess, asked: Any) -> int | None:
    """What an answer says that it cost."""
    answer = orjson.loads(await client.answered(asked))
    found: int | None = answer.get("extensions", {}).get("cost")
    return found or None


async def texts(client: InProcess) -> Texts:
    """What arguments may be, where they lead to something."""
    [job] = (await client.data(ask(VIEWER, RESULTS)))["syncJobs"]["edges"]
    found = {
        "Query.accounts": (await client.data(ask(VIEWER, ACCOUNTS_SHOWN)))["accounts"]["edges"],
        "SyncJob.results": job["node"]["results"]["edges"],
    }
    cursors: dict[str, list[str]] = {
        f"{place}.{way}": [json.dumps(edge["cursor"]) for edge in edges]
        for place, edges in found.items()
        for way in ("after", "before")
    }
    jobs, accounts = ([ids.encode(kind, key) for key in keys] for kind, keys in _keys())
    others = [ids.encode(ids.NodeKind.AUDIT_EVENT, event_id(number)) for number in range(PAGE)]
    others += [ids.encode(ids.NodeKind.SYNC_RESULT, result_id(number, 0)) for number in range(PAGE)]
    return {
        **cursors,
        "after": ['""'],
        "before": ['""'],
        "ID": list(map(json.dumps, [*jobs, *accounts, *others, "nobody's"])),
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


def _keys() -> list[tuple[ids.NodeKind, list[Any]]]:
    return [
        (ids.NodeKind.SYNC_JOB, [job_id(number) for number in range(PAGE)]),
        (ids.NodeKind.ACCOUNT, [account_id(VIEWER, number) for number in range(0, ACCOUNTS, 5)]),
    ]


# What is looked for, and by what: the most processor, the most for the points that it costs, …
AIMS = {
    "processor": lambda cost: cost.processor,
    "processor for its points": lambda cost: cost.processor / (cost.points + 20),
    "still": lambda cost: cost.still,
    "answer": lambda cost: cost.answer,
}
Found = dict[str, list[tuple[Cost, Generated]]]


async def search(client: InProcess, seconds: float, random: Random) -> Found:
    """The best few for each aim, the best first."""
    generator = Generator(create_schema(), await texts(client), random)
    found: Found = {aim: [] for aim in AIMS}
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        known = found[random.choice(list(AIMS))]
        fresh = not known or random.random() < 0.1
        operation = generator.new() if fresh else generator.changed(random.choice(known)[1])
        if (taken := await cost(client, str(operation))) is not None:
            for aim, measure in AIMS.items():
                _keep(found[aim], taken, operation, measure)
    return found


def _keep(known: list[tuple[Cost, Generated]], taken: Cost, operation: Generated, measure: Any) -> None:
    if any(str(operation) == str(one) for _, one in known):
        return
    known.append((taken, operation))
    known.sort(key=lambda one: measure(one[0]), reverse=True)
    del known[KEPT:]


async def _main(url: str, seconds: float, seed: int) -> dict[str, str]:
    """The best operation for each aim, which are printed."""
    async with client(url) as asked:
        tune_gc()
        found = await search(asked, seconds, Random(seed))
        winners = {}
        for aim, known in found.items():
            _, operation = known[0]
            again = await cost(asked, str(operation), times=5)
            assert again is not None
            winners[aim] = str(operation)
            print(aim, json.dumps(asdict(again)), f"{again.per_point:.3f} ms a point\n  {operation}\n")
    return winners


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.costliest")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path)
    told = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR)
    )  # not a line for each request
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=WatchedLoop) as runner:
        winners = runner.run(_main(much_store(Path(folder)), told.seconds, told.seed))
    if told.write:
        told.write.write_text(json.dumps(winners, indent=2) + "\n")


if __name__ == "__main__":
    main()
