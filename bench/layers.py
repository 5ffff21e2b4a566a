"""Processor time of a list by layer: the same page is read at each layer, in this process, without sockets for HTTP."""

import asyncio
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from sqlalchemy.engine import make_url

from bench.beside import CONNECTIONS, Row
from bench.documents import CASES
from bench.in_process import InProcessClient, run_lifespan
from bench.ours import bench_settings, build_list_request
from bench.peers.least import PAGE
from bench.processes import SERVER, pin_processors
from bench.rows import viewer_id
from bench.stores import to_driver_url
from tiktok_accounts_gql.app import create_app, create_graphql_engine, tune_gc
from tiktok_accounts_gql.db import account_queries, accounts
from tiktok_accounts_gql.db.account_queries import LoadHints
from tiktok_accounts_gql.db.accounts import AccountFilter, AccountOrderField
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.keyset import Range
from tiktok_accounts_gql.db.models import AuditAction, AuditActor
from tiktok_accounts_gql.logs import configure_logs
from tiktok_accounts_gql.pagination import PageRequest
from tiktok_accounts_gql.resolvers.context import Context
from tiktok_accounts_gql.resolvers.loaders import Loaders
from tiktok_accounts_gql.services.accounts import AccountOrder
from tiktok_accounts_gql.services.audit import Detail
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.web.metrics import Metrics

VIEWERS, ROUNDS = 100, 8
LIST = CASES[0]
COLUMNS = frozenset(re.findall(r"\w+", PAGE.partition("FROM")[0])) - {"SELECT"}
Layer = Callable[[int], Awaitable[Any]]  # takes the number of a viewer


def measure(database: str, *, folder: Path) -> Iterator[Row]:
    """Yield the fastest of several rounds of 800 calls, 8 at a time. Each layer includes those above it, except the audit."""
    folder.mkdir(parents=True, exist_ok=True)
    with pin_processors(os.getpid(), SERVER), (folder / "layers.log").open("w") as log, redirect_stderr(log):
        configure_logs("production")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for name, microseconds in runner.run(_measure(database)).items():
                yield {"layer": name, "processor µs": round(microseconds)}
    logging.basicConfig(force=True)  # no longer to the file, which is closed


async def _measure(database: str) -> dict[str, float]:
    app = create_app(bench_settings(database), worker=False)
    drivers = [await asyncpg.connect(to_driver_url(make_url(database))) for _ in range(CONNECTIONS)]
    async with run_lifespan(app) as state:
        layers = _build_layers(drivers, state, InProcessClient(app, state))
        for call in layers.values():
            await _measure_calls(call)
        tune_gc()
        fastest = dict.fromkeys(layers, float("inf"))
        for _ in range(ROUNDS):
            for name, call in layers.items():
                fastest[name] = min(fastest[name], await _measure_calls(call))
        return fastest


def _build_layers(drivers: list[Any], state: dict[str, Any], client: InProcessClient) -> dict[str, Layer]:
    viewers = [Viewer(id=viewer_id(number), actor=AuditActor.USER, request_id="0" * 32) for number in range(VIEWERS)]
    return {
        **_build_driver_layers(drivers, viewers),
        **_build_service_layers(state["db"], state["services"], viewers),
        "`execution`: the operation, to JSON": _build_execution_layer(state["services"], viewers),
        "`web`: the whole request": _build_http_layer(client),
    }


def _build_driver_layers(drivers: list[Any], viewers: list[Viewer]) -> dict[str, Layer]:
    async def fetch(*statement: Any) -> None:
        driver = drivers.pop()
        await driver.fetch(*statement)
        drivers.append(driver)

    return {
        "asyncpg: `SELECT 1`": lambda _: fetch("SELECT 1"),
        "asyncpg: a page of 20": lambda viewer: fetch(PAGE, viewers[viewer].id, LIST.first + 1),
    }


def _build_service_layers(db: Database, services: Services, viewers: list[Viewer]) -> dict[str, Layer]:
    page, where, order = PageRequest.of(LIST.first, None, None, None), AccountFilter(), AccountOrder()
    newest = accounts.build_ordering(AccountOrderField.CREATED_AT, descending=True)
    ahead, listed = LoadHints(attributes=COLUMNS), Detail(name="count", value=LIST.first)
    return {
        "`db`: the page as rows": lambda viewer: account_queries.fetch_page(
            db, viewers[viewer].id, where, newest, page, Range(), ahead
        ),
        "the audit alone": lambda viewer: services.audit.record_read(
            viewers[viewer], AuditAction.ACCOUNTS_LISTED, listed
        ),
        "`services`: the page with its audit event": lambda viewer: services.accounts.list(
            viewers[viewer], page, where, order, ahead
        ),
    }


def _build_execution_layer(services: Services, viewers: list[Viewer]) -> Layer:
    engine = create_graphql_engine(development=False, compiled=True, metrics=Metrics())

    async def execute(number: int) -> Any:
        viewer = viewers[number]
        context = Context(viewer=viewer, services=services, loaders=Loaders(viewer, services))
        prepared = await engine.prepare(LIST.document, None)
        return await engine.execute(await engine.cost(prepared, {"first": LIST.first}), context)

    return execute


def _build_http_layer(client: InProcessClient) -> Layer:
    requests = [build_list_request(viewer, LIST, None) for viewer in range(VIEWERS)]
    return lambda viewer: client.fetch(requests[viewer])


async def _measure_calls(call: Layer) -> float:
    """Return microseconds of processor time per call."""

    async def call_in_sequence(start: int) -> None:
        for number in range(VIEWERS):
            await call((number * CONNECTIONS + start) % VIEWERS)

    started_at = time.process_time()
    await asyncio.gather(*(call_in_sequence(number) for number in range(CONNECTIONS)))
    return (time.process_time() - started_at) / (VIEWERS * CONNECTIONS) * 1e6
