"""Measures this project's server: `make bench ARGS="…"`. Figures go to .data/bench; with --write to docs/performance."""

import argparse
import asyncio
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import beside, growth, layers, least, machine, memory, report, workers
from bench.contenders import contenders, peers_store
from bench.ours import count_paths
from bench.postgres import Postgres, postgres_server
from bench.rows import Population
from bench.stores import postgres_store, sqlite_store

FOLDER = Path(".data/bench").resolve()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The options, and the databases that the parts use."""

    postgres_server: Postgres
    options: argparse.Namespace

    @property
    def population(self) -> Population:
        return Population.even(self.options.viewers, self.options.accounts)

    def postgres(self, population: Population) -> str:
        _say(f"PostgreSQL: {population.total:,} accounts ({population.name})")
        return asyncio.run(postgres_store(self.postgres_server.url, population))

    def sqlite(self, population: Population) -> str:
        _say(f"SQLite: {population.total:,} accounts ({population.name})")
        return sqlite_store(FOLDER, population)


def _measure_beside(bench: Bench) -> list[dict[str, Any]]:
    options = bench.options
    peers = asyncio.run(peers_store(bench.postgres_server.url, bench.population))
    with contenders(
        postgres=bench.postgres(bench.population),
        sqlite=bench.sqlite(bench.population),
        peers=peers,
        population=bench.population,
        folder=FOLDER / "logs",
    ) as servers:
        figures = beside.measure(servers, viewers=options.viewers, rounds=options.rounds, seconds=options.seconds)
        for server in servers:
            _say(f"{server.name}: answered by {count_paths(server.process) or 'one path'}")
    return list(beside.rows(figures))


def _measure_least(bench: Bench) -> list[dict[str, Any]]:
    options = bench.options
    peers = asyncio.run(peers_store(bench.postgres_server.url, bench.population))
    return list(
        least.measure(
            bench.postgres(bench.population),
            peers,
            viewers=options.viewers,
            rounds=options.rounds,
            seconds=options.seconds,
            folder=FOLDER / "logs",
        )
    )


def _measure_layers(bench: Bench) -> list[dict[str, Any]]:
    return list(layers.measure(bench.postgres(bench.population), folder=FOLDER / "logs"))


def _measure_workers(bench: Bench) -> list[dict[str, Any]]:
    options = bench.options
    return list(
        workers.measure(
            bench.postgres(bench.population),
            postgres=bench.postgres_server.pid,
            viewers=options.viewers,
            rounds=options.rounds,
            seconds=options.seconds,
            folder=FOLDER,
        )
    )


def _measure_growth(bench: Bench) -> list[dict[str, Any]]:
    options = bench.options
    rows: list[dict[str, Any]] = []
    ladder = growth.ladder(options.largest_viewer)
    sizes = growth.sizes(options.largest)
    for database, store in (("PostgreSQL", bench.postgres), ("SQLite", bench.sqlite)):
        rows += growth.per_viewer(database, store(ladder), ladder, seconds=options.seconds, folder=FOLDER)
        for population in sizes:
            rows += growth.overall(database, store(population), population, seconds=options.seconds, folder=FOLDER)
    return rows


def _measure_memory(bench: Bench) -> list[dict[str, Any]]:
    url = bench.postgres(bench.population)
    return list(memory.measure(url, viewers=bench.options.viewers, minutes=bench.options.minutes, folder=FOLDER))


PARTS: dict[str, Callable[[Bench], list[dict[str, Any]]]] = {
    "beside": _measure_beside,
    "least": _measure_least,
    "layers": _measure_layers,
    "workers": _measure_workers,
    "growth": _measure_growth,
    "memory": _measure_memory,
}


def main() -> None:
    options = _parser().parse_args()
    figures = report.FIGURES if options.write else FOLDER
    for folder in (FOLDER, figures):
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        bench = Bench(postgres_server=stack.enter_context(postgres_server(FOLDER)), options=options)
        for part in options.parts.split(","):
            _say(f"== {part}")
            rows = PARTS[part](bench)
            (figures / f"{part}.json").write_text(json.dumps({**machine.describe(), "rows": rows}, indent=1) + "\n")
            print(report.table(rows), flush=True)
    if options.write:
        report.write()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="some of beside,workers,growth,memory")
    parser.add_argument("--viewers", type=int, default=1000)
    parser.add_argument("--accounts", type=int, default=1000, help="of each viewer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each load")
    parser.add_argument("--largest", type=int, default=3_000_000, help="accounts of all viewers at the end of the plot")
    parser.add_argument("--largest-viewer", type=int, default=100_000, help="accounts of one, where the plot ends")
    parser.add_argument("--minutes", type=float, default=5, help="how long memory is measured under load")
    parser.add_argument("--write", action="store_true", help="to docs/performance, with the page and its plots")
    return parser


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
