"""Latency of searches among 100,000 accounts of one viewer: `python bench/search.py DATABASE_URL`.

Use a database that is not needed for anything else: it is migrated, and filled at the first run. Prints milliseconds from a
call of the service to its rows, the median of 15 and the fastest; and how long migrating took.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.service_calls import settings
from tests.support.rows import account, store
from tiktok_accounts_gql.db.account_queries import LoadHints
from tiktok_accounts_gql.db.accounts import AccountFilter, AccountOrderField
from tiktok_accounts_gql.pagination import PageRequest
from tiktok_accounts_gql.services.accounts import AccountOrder
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.wiring import Running, migrate_everything, open_services

COUNT, TIMES, WARM_UP = 100_000, 15, 3
VIEWER = Viewer(id="many")
FIRST_NAMES = ("Nguyễn", "Zoë", "İrem", "Łukasz", "Ann", "Bo", "Мария", "王芳", "محمد", "Straße")


async def fill(running: Running) -> None:
    for start in range(0, COUNT, 1000):
        rows = [
            account(
                VIEWER.id,
                number,
                username=f"user.{number * 7919 % 100003}",
                display_name=f"{FIRST_NAMES[number % 10]} {number * 1046527 % 100003} of so many",
            )
            for number in range(start, start + 1000)
        ]
        await store(running.db, *rows)


def searches(running: Running) -> dict[str, Callable[[], Awaitable[Any]]]:
    newest, by_name = AccountOrder(), AccountOrder(field=AccountOrderField.USERNAME, descending=False)
    page = PageRequest.of(20, None, None, None)

    def search(text: str, order: AccountOrder = newest) -> Callable[[], Awaitable[Any]]:
        where, ahead = AccountFilter(search=text), LoadHints(attributes=frozenset({"username", "display_name"}))
        return lambda: running.services.accounts.list(VIEWER, page, where, order, ahead)

    return {
        "many found": search("of so many"),
        "a tenth found, with accents": search("nguyễn"),
        "few found, newest first": search("zoë 777"),
        "few found, by username": search("zoë 777", by_name),
        "none found": search("nobody has this"),
        "total of a tenth": lambda: running.services.accounts.count(VIEWER, AccountFilter(search="nguyễn")),
        "total of few": lambda: running.services.accounts.count(VIEWER, AccountFilter(search="zoë 777")),
    }


async def measure(name: str, call: Callable[[], Awaitable[Any]]) -> None:
    latencies = []
    for _ in range(WARM_UP + TIMES):
        started_at = time.perf_counter()
        await call()
        latencies.append(time.perf_counter() - started_at)
    latencies = sorted(latencies[WARM_UP:])
    print(f"{name:30} {statistics.median(latencies) * 1e3:8.1f} ({latencies[0] * 1e3:.1f}) ms", flush=True)


async def main(url: str) -> None:
    started_at = time.perf_counter()
    await migrate_everything(url)
    print(f"migrated in {time.perf_counter() - started_at:.1f} s")
    async with open_services(settings(url)) as running:
        if not await running.services.accounts.count(VIEWER, AccountFilter()):
            await fill(running)
        for name, call in searches(running).items():
            await measure(name, call)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
