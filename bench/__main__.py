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
from bench.ours import paths
from bench.postgres import Postgres, postgres_server
from bench.rows import Population
from bench.stores import postgres_store, sqlite_store

FOLDER = Path(".data/bench").resolve()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The options, and where things are."""

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


def _beside(bench: Bench) -> list[dict[str, Any]]:
    asked = bench.options
    peers = asyncio.run(peers_store(bench.postgres_server.url, bench.population))
    with contenders(
        postgres=bench.postgres(bench.population),
        sqlite=bench.sqlite(bench.population),
        peers=peers,
        population=bench.population,
        folder=FOLDER / "logs",
    ) as found:
        figures = beside.measure(found, viewers=asked.viewers, rounds=asked.rounds, seconds=asked.seconds)
        for one in found:
            _say(f"{one.name}: answered by {paths(one.server) or 'one path'}")
    return list(beside.rows(figures))


def _least(bench: Bench) -> list[dict[str, Any]]:
    asked = bench.options
    peers = asyncio.run(peers_store(bench.postgres_server.url, bench.population))
    return list(
        least.measure(
            bench.postgres(bench.population),
            peers,
            viewers=asked.viewers,
            rounds=asked.rounds,
            seconds=asked.seconds,
            folder=FOLDER / "logs",
        )
    )


def _layers(bench: Bench) -> list[dict[str, Any]]:
    return list(layers.measure(bench.postgres(bench.population), folder=FOLDER / "logs"))


def _workers(bench: Bench) -> list[dict[str, Any]]:
    asked = bench.options
    return list(
        workers.measure(
            bench.postgres(bench.population),
            postgres=bench.postgres_server.pid,
            viewers=asked.viewers,
            rounds=asked.rounds,
            seconds=asked.seconds,
            folder=FOLDER,
        )
    )


def _growth(bench: Bench) -> list[dict[str, Any]]:
    asked = bench.options
    found: list[dict[str, Any]] = []
    ladder = growth.ladder(asked.largest_viewer)
    sizes = growth.sizes(asked.largest)
    for database, store in (("PostgreSQL", bench.postgres), ("SQLite", bench.sqlite)):
        found += growth.per_viewer(database, store(ladder), ladder, seconds=asked.seconds, folder=FOLDER)
        for population in sizes:
            found += growth.overall(database, store(population), population, seconds=asked.seconds, folder=FOLDER)
    return found


def _memory(bench: Bench) -> list[dict[str, Any]]:
    url = bench.postgres(bench.population)
    return list(memory.measure(url, viewers=bench.options.viewers, minutes=bench.options.minutes, folder=FOLDER))


PARTS: dict[str, Callable[[Bench], list[dict[str, Any]]]] = {
    "beside": _beside,
    "least": _least,
    "layers": _layers,
    "workers": _workers,
    "growth": _growth,
    "memory": _memory,
}


def main() -> None:
    options = _parser().parse_args()
    figures = report.FIGURES if options.write else FOLDER
    for folder in (FOLDER, figures):
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as up:
        bench = Bench(postgres_server=up.enter_context(postgres_server(FOLDER)), options=options)
        for part in options.parts.split(","):
            _say(f"== {part}")
            found = PARTS[part](bench)
            (figures / f"{part}.json").write_text(json.dumps({**machine.described(), "rows": found}, indent=1) + "\n")
            print(report.table(found), flush=True)
    if options.write:
        report.write()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="some of beside,workers,growth,memory")
    parser.add_argument("--viewers", type=int, default=1000)
    parser.add_argument("--accounts", type=int, default=1000, help="of each viewer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each load")
    parser.add_argument("--largest", type=int, default=3_000_000, help="accounts of all viewers, where the plot ends")
    parser.add_argument("--largest-viewer", type=int, default=100_000, help="accounts of one, where the plot ends")
    parser.add_argument("--minutes", type=float, default=5, help="for how long memory is watched under load")
    parser.add_argument("--write", action="store_true", help="to docs/performance, with the page and its plots")
    return parser


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
