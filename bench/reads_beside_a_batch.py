"""How much slower reads are while a batch runs in the same process, and while TikTok is down: prints times and ratios.

Run it from the repository with little else running: `python bench/reads_beside_a_batch.py`. On SQLite, or on the database
that BENCH_DATABASE_URL names, which has to be empty. The sandbox is this process, `tiktok-accounts serve` another, and the
client a third. It asks BENCH_READS_PER_SECOND (200) times a second, and counts from when a read was due, so that a stall
shows in all reads that were due in it; 0 asks one query after another in eight lines. No answer is kept.
"""

import asyncio
import base64
import logging
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import httpx
import structlog
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.cli.serving import served
from tests.support.batches import Scene
from tiktok_accounts_gql.sandbox.app import create_sandbox
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.sandbox.server import SandboxServer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.wiring import migrate_everything, open_services

SECONDS, LINES = 15, 8
PER_MINUTE = int(os.environ.get("BENCH_PER_MINUTE", "540"))
READS_PER_SECOND = int(os.environ.get("BENCH_READS_PER_SECOND", "200"))
READ = "query Read { accounts(first: 20) { totalCount edges { node { id displayName status lastSyncedAt } } } }"


def reads(url: str, token: str) -> list[float]:
    """How long each of many requests took. In a process of its own: what the sandbox does is no part of it."""
    return asyncio.run(_reads(url, token))


async def _reads(url: str, token: str) -> list[float]:
    took: list[float] = []
    end = time.monotonic() + SECONDS
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/graphql-response+json"}

    async def ask(client: httpx.AsyncClient, due: float) -> None:
        answer = await client.post("/graphql", json={"query": READ})
        assert "errors" not in answer.json(), answer.text
        took.append(time.monotonic() - due)

    async def line(client: httpx.AsyncClient) -> None:
        while time.monotonic() < end:
            await ask(client, time.monotonic())

    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client, asyncio.TaskGroup() as group:
        if not READS_PER_SECOND:
            for _ in range(LINES):
                group.create_task(line(client))
            return took
        due = time.monotonic()
        while due < end:
            await asyncio.sleep(due - time.monotonic())
            group.create_task(ask(client, due))
            due += 1 / READS_PER_SECOND
    return took


def told(name: str, took: list[float], alone: dict[str, float] | None = None) -> dict[str, float]:
    """Milliseconds, and how much longer that is than `alone`."""
    quantiles = statistics.quantiles(took, n=100)
    seconds = {"mean": statistics.fmean(took), "p50": quantiles[49], "p90": quantiles[89], "p99": quantiles[98]}
    figures = {which: time * 1000 for which, time in seconds.items()}
    ratios = {which: f" ({figures[which] / alone[which]:.2f})" if alone else "" for which in figures}
    shown = ", ".join(f"{which} {figures[which]:.1f} ms{ratios[which]}" for which in figures)
    print(f"{name}: {len(took) / SECONDS:.0f} requests a second, {shown}")
    return figures


async def main(client: ProcessPoolExecutor) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    sandbox = create_sandbox(client_key="key", client_secret="secret", requests_per_minute=1_000_000)
    with tempfile.TemporaryDirectory() as folder, SandboxServer(sandbox, port=0) as url:
        settings = Settings.model_validate(
            {
                "database_url": os.environ.get("BENCH_DATABASE_URL", f"sqlite:///{folder}/bench.db"),
                "jwt_secret": SecretStr("a secret of this measurement, of 32 bytes"),
                "jwt_issuer": "https://issuer.test",
                "jwt_audience": "accounts",
                "encryption_keys": base64.urlsafe_b64encode(bytes(range(32))).decode(),
                "tiktok_client_key": "key",
                "tiktok_client_secret": SecretStr("secret"),
                "tiktok_api_url": url,
                "tiktok_requests_per_minute": PER_MINUTE,
                "public_url": "http://localhost:8000",
                "sync_interval": timedelta(0),
                "list_cache_seconds": 0,
            }
        )
        await migrate_everything(settings.database_url)
        async with open_services(settings) as running, served(Path(folder), settings, "viewer") as (_, api):
            scene = Scene(settings=settings, running=running, sandbox=sandbox)
            await scene.accounts("viewer", 2000)

            async def read() -> list[float]:
                return await asyncio.get_running_loop().run_in_executor(
                    client, reads, str(api.http.base_url), api.token
                )

            await read()
            alone = told("alone", await read())
            job = await scene.start("viewer")
            await scene.wait_until_synced(job, 40)
            before = await scene.count_done(job)
            told("beside a batch", await read(), alone)
            print(f"the batch read {(await scene.count_done(job) - before) / SECONDS:.1f} accounts a second meanwhile")
            sandbox.faults.add(Fault(path=USER_INFO_PATH, status=503, error="internal_error", times=None))
            await asyncio.sleep(5)
            told("while TikTok is down", await read(), alone)


if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as client:
        asyncio.run(main(client))
