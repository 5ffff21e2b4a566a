"""Processor time of what services do for a request, without HTTP and GraphQL: `python bench/service_calls.py DATABASE_URL`.

Use a database that is not needed for anything else: it is migrated, and filled at the first run. Prints microseconds of this
process per call, with eight calls at a time, and milliseconds from the call to its return.
"""

import asyncio
import base64
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.rows import account, store
from tiktok_accounts_gql.db.account_queries import LoadHints
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.db.models import AccountStatus
from tiktok_accounts_gql.pagination import PageRequest
from tiktok_accounts_gql.services.accounts import AccountOrder
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running, migrate_everything, open_services

CALLS, CONCURRENCY, ROUNDS = 1500, 8, 3
FEW, MANY = Viewer(id="few"), Viewer(id="many")
NAMES = ("id", "username", "display_name", "status", "follower_count", "last_synced_at")


def settings(url: str) -> Settings:
    return Settings.model_validate(
        {
            "database_url": url,
            "database_pool_size": CONCURRENCY,
            "jwt_secret": SecretStr("a secret of this measurement, of 32 bytes"),
            "jwt_issuer": "https://issuer.test",
            "jwt_audience": "accounts",
            "encryption_keys": base64.urlsafe_b64encode(bytes(range(32))).decode(),
            "tiktok_client_key": "key",
            "tiktok_client_secret": SecretStr("secret"),
            "tiktok_api_url": "http://127.0.0.1:1",
            "public_url": "http://localhost:8000",
        }
    )


async def fill(running: Running, viewer: Viewer, count: int) -> None:
    for start in range(0, count, 1000):
        rows = [
            account(
                viewer.id,
                number,
                username=f"user.{number * 7919 % 100003}",
                display_name=f"Name {number * 1046527 % 100003} of so many",
                follower_count=number * 31 % 5000,
                status=AccountStatus.ACTIVE if number % 50 else AccountStatus.EXPIRED,
                bio_description="So many words as people write about themselves. " * 4,
            )
            for number in range(start, min(start + 1000, count))
        ]
        await store(running.db, *rows)


def calls(running: Running) -> dict[str, Callable[[], Awaitable[Any]]]:
    accounts, order = running.services.accounts, AccountOrder()

    def page(size: int) -> PageRequest:
        return PageRequest.of(size, None, None, None)

    async def list_six_columns(size: int, *, total: bool) -> None:
        await accounts.list(
            FEW, page(size), AccountFilter(), order, LoadHints(attributes=frozenset(NAMES), total=total)
        )

    async def list_and_count(viewer: Viewer, where: AccountFilter) -> None:
        await accounts.list(viewer, page(20), where, order)
        await accounts.count(viewer, where)

    return {
        "page of 20": lambda: accounts.list(FEW, page(20), AccountFilter(), order),
        "page of 50": lambda: accounts.list(FEW, page(50), AccountFilter(), order),
        "page of 20 and totalCount": lambda: list_and_count(FEW, AccountFilter()),
        "page of 20, six columns": lambda: list_six_columns(20, total=False),
        "page of 50, six columns": lambda: list_six_columns(50, total=False),
        "page of 20, six columns, with total": lambda: list_six_columns(20, total=True),
        "summary": lambda: accounts.summarize(FEW),
        "summary of 100,000": lambda: accounts.summarize(MANY),
        "page of 20 and totalCount of 100,000": lambda: list_and_count(MANY, AccountFilter()),
        "search in 100,000": lambda: accounts.list(MANY, page(20), AccountFilter(search="name 77"), order),
    }


async def measure(name: str, call: Callable[[], Awaitable[Any]]) -> None:
    number = CALLS if "100,000" not in name else 40
    costs, latencies = [], []

    async def call_in_sequence() -> None:
        for _ in range(number // CONCURRENCY):
            started_at = time.perf_counter()
            await call()
            latencies.append(time.perf_counter() - started_at)

    await asyncio.gather(*(call_in_sequence() for _ in range(CONCURRENCY)))
    for _ in range(ROUNDS):
        before = time.process_time()
        await asyncio.gather(*(call_in_sequence() for _ in range(CONCURRENCY)))
        costs.append((time.process_time() - before) / (number // CONCURRENCY * CONCURRENCY))
    print(f"{name:40} {min(costs) * 1e6:8.0f} us  {statistics.median(latencies) * 1e3:8.2f} ms", flush=True)


async def main(url: str) -> None:
    await migrate_everything(url)
    async with open_services(settings(url)) as running:
        for viewer, count in ((FEW, 1000), (MANY, 100_000)):
            if not await running.services.accounts.count(viewer, AccountFilter()):
                started_at = time.perf_counter()
                await fill(running, viewer, count)
                print(f"filled {count} in {time.perf_counter() - started_at:.1f} s")
        for name, call in calls(running).items():
            await measure(name, call)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
