"""Where the processor time of a list goes: the same page asked for at each layer, in this process, without sockets for HTTP."""

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
from bench.in_process import InProcess, started
from bench.ours import bench_settings, list_ask
from bench.peers.least import PAGE
from bench.processes import SERVER, pinned
from bench.rows import viewer_id
from bench.stores import plain
from tiktok_accounts_gql.app import create_app, create_graphql_engine, tune_gc
from tiktok_accounts_gql.db import account_rows, accounts
from tiktok_accounts_gql.db.account_rows import Ahead
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
    """The least of some rounds of 800 calls, eight at a time. Each layer holds those above it, but for the audit alone."""
    folder.mkdir(parents=True, exist_ok=True)
    with pinned(os.getpid(), SERVER), (folder / "layers.log").open("w") as log, redirect_stderr(log):
        configure_logs("production")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for name, spent in runner.run(_measured(database)).items():
                yield {"layer": name, "processor µs": round(spent)}
    logging.basicConfig(force=True)  # away from the file, which is closed


async def _measured(database: str) -> dict[str, float]:
    app = create_app(bench_settings(database), worker=False)
    drivers = [await asyncpg.connect(plain(make_url(database))) for _ in range(CONNECTIONS)]
    async with started(app) as state:
        layers = _layers(drivers, state, InProcess(app, state))
        for ask in layers.values():
            await _asked(ask)
        tune_gc()
        least = dict.fromkeys(layers, float("inf"))
        for _ in range(ROUNDS):
            for name, ask in layers.items():
                least[name] = min(least[name], await _asked(ask))
        return least


def _layers(drivers: list[Any], state: dict[str, Any], client: InProcess) -> dict[str, Layer]:
    viewers = [Viewer(id=viewer_id(number), actor=AuditActor.USER, request_id="0" * 32) for number in range(VIEWERS)]
    return {
        **_of_the_driver(drivers, viewers),
        **_of_services(state["db"], state["services"], viewers),
        "`execution`: the operation, to JSON": _of_execution(state["services"], viewers),
        "`http`: the whole request": _of_http(client),
    }


def _of_the_driver(drivers: list[Any], viewers: list[Viewer]) -> dict[str, Layer]:
    async def fetch(*statement: Any) -> None:
        driver = drivers.pop()
        await driver.fetch(*statement)
        drivers.append(driver)

    return {
        "asyncpg: `SELECT 1`": lambda _: fetch("SELECT 1"),
        "asyncpg: a page of 20": lambda viewer: fetch(PAGE, viewers[viewer].id, LIST.first + 1),
    }


def _of_services(db: Database, services: Services, viewers: list[Viewer]) -> dict[str, Layer]:
    page, where, order = PageRequest.of(LIST.first, None, None, None), AccountFilter(), AccountOrder()
    newest = accounts.ordering(AccountOrderField.CREATED_AT, descending=True)
    ahead, listed = Ahead(attributes=COLUMNS), Detail(name="count", value=LIST.first)
    return {
        "`db`: the page as rows": lambda viewer: account_rows.read_page(
            db, viewers[viewer].id, where, newest, page, Range(), ahead
        ),
        "the audit alone": lambda viewer: services.audit.record_read(
            viewers[viewer], AuditAction.ACCOUNTS_LISTED, listed
        ),
        "`services`: the page with its audit event": lambda viewer: services.accounts.list(
            viewers[viewer], page, where, order, ahead
        ),
    }


def _of_execution(services: Services, viewers: list[Viewer]) -> Layer:
    engine = create_graphql_engine(development=False, compiled=True, metrics=Metrics())

    async def execute(number: int) -> Any:
        viewer = viewers[number]
        context = Context(viewer=viewer, services=services, loaders=Loaders(viewer, services))
        prepared = await engine.prepare(LIST.document, None)
        return await engine.execute(await engine.cost(prepared, {"first": LIST.first}), context)

    return execute


def _of_http(client: InProcess) -> Layer:
    asks = [list_ask(viewer, LIST, None) for viewer in range(VIEWERS)]
    return lambda viewer: client.answer(asks[viewer])


async def _asked(ask: Layer) -> float:
    """Microseconds of this process a call."""

    async def line(begin: int) -> None:
        for number in range(VIEWERS):
            await ask((number * CONNECTIONS + begin) % VIEWERS)

    before = time.process_time()
    await asyncio.gather(*(line(number) for number in range(CONNECTIONS)))
    return (time.process_time() - before) / (VIEWERS * CONNECTIONS) * 1e6
