"""Latency of reads while a batch runs in the same process, and while TikTok is down, and the ratios to reads alone.

Run it from the repository on an idle machine: `python bench/reads_beside_a_batch.py`. It uses SQLite, or the empty database of
BENCH_DATABASE_URL. The sandbox is this process, `tiktok-accounts serve` another, and the client a third. It sends
BENCH_READS_PER_SECOND (200) requests a second, and measures from when a read was due, so that a stall shows in all reads that
were due in it; with 0, eight tasks send one request after another. The cache of lists is off.
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

from tests.cli.serving import run_server
from tests.support.batches import Scene
from tiktok_accounts_gql.sandbox.app import create_sandbox
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.sandbox.server import SandboxServer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.wiring import migrate_everything, open_services

SECONDS, CONCURRENCY = 15, 8
PER_MINUTE = int(os.environ.get("BENCH_PER_MINUTE", "540"))
READS_PER_SECOND = int(os.environ.get("BENCH_READS_PER_SECOND", "200"))
READ = "query Read { accounts(first: 20) { totalCount edges { node { id displayName status lastSyncedAt } } } }"


def measure_reads(url: str, token: str) -> list[float]:
    """Return the latency of each request in seconds. Runs in a child process, without the sandbox's work."""
    return asyncio.run(_measure_reads(url, token))


async def _measure_reads(url: str, token: str) -> list[float]:
    latencies: list[float] = []
    end = time.monotonic() + SECONDS
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/graphql-response+json"}

    async def send(client: httpx.AsyncClient, due: float) -> None:
        response = await client.post("/graphql", json={"query": READ})
        assert "errors" not in response.json(), response.text
        latencies.append(time.monotonic() - due)

    async def send_in_sequence(client: httpx.AsyncClient) -> None:
        while time.monotonic() < end:
            await send(client, time.monotonic())

    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client, asyncio.TaskGroup() as group:
        if not READS_PER_SECOND:
            for _ in range(CONCURRENCY):
                group.create_task(send_in_sequence(client))
            return latencies
        due = time.monotonic()
        while due < end:
            await asyncio.sleep(due - time.monotonic())
            group.create_task(send(client, due))
            due += 1 / READS_PER_SECOND
    return latencies


def report(name: str, latencies: list[float], alone: dict[str, float] | None = None) -> dict[str, float]:
    """Print and return milliseconds, with the ratios to those of `alone`."""
    quantiles = statistics.quantiles(latencies, n=100)
    seconds = {"mean": statistics.fmean(latencies), "p50": quantiles[49], "p90": quantiles[89], "p99": quantiles[98]}
    figures = {which: time * 1000 for which, time in seconds.items()}
    ratios = {which: f" ({figures[which] / alone[which]:.2f})" if alone else "" for which in figures}
    text = ", ".join(f"{which} {figures[which]:.1f} ms{ratios[which]}" for which in figures)
    print(f"{name}: {len(latencies) / SECONDS:.0f} requests a second, {text}")
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
        async with open_services(settings) as running, run_server(Path(folder), settings, "viewer") as (_, api):
            scene = Scene(settings=settings, running=running, sandbox=sandbox)
            await scene.accounts("viewer", 2000)

            async def read() -> list[float]:
                return await asyncio.get_running_loop().run_in_executor(
                    client, measure_reads, str(api.http.base_url), api.token
                )

            await read()
            alone = report("alone", await read())
            job = await scene.start("viewer")
            await scene.wait_until_synced(job, 40)
            before = await scene.count_done(job)
            report("beside a batch", await read(), alone)
            print(f"the batch read {(await scene.count_done(job) - before) / SECONDS:.1f} accounts a second meanwhile")
            sandbox.faults.add(Fault(path=USER_INFO_PATH, status=503, error="internal_error", times=None))
            await asyncio.sleep(5)
            report("while TikTok is down", await read(), alone)


if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as client:
        asyncio.run(main(client))
