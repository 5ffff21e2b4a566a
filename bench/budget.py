"""Instructions per request beside what bench/budget.json allows; `--write` records them anew.

Valgrind counts them: no clock, no other load and no processor's model is in the figures. They differ a little between
builds of Python, so a budget is for the one that it names.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from bench.counted import BATCH
from bench.rows import Population
from bench.stores import sqlite_store

FILE = Path(__file__).with_name("budget.json")
TOLERANCE = 0.10
_DUMP = re.compile(r"^desc: Trigger: Client Request: ([^\n]+)$.*?^totals: (\d+)$", re.MULTILINE | re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make check-budget", description=__doc__)
    parser.add_argument("--write", action="store_true", help="record what is counted now as the budget")
    if parser.parse_args().write:
        FILE.write_text(json.dumps({"python": platform.python_version(), "instructions": counted()}, indent=2) + "\n")
    else:
        sys.exit("\n".join(exceeded(json.loads(FILE.read_text())["instructions"], counted())) or None)


def counted() -> dict[str, int]:
    """Instructions per request by operation, on SQLite, with nobody else asking."""
    with tempfile.TemporaryDirectory() as folder:
        url = sqlite_store(Path(folder), Population.even(4, 200))
        _run(Path(folder), url)
        return dict(_per_request(Path(folder)))


def exceeded(budget: Mapping[str, int], found: Mapping[str, int]) -> Iterator[str]:
    """A line for each operation that costs too much, or that only one of them knows; prints all."""
    for name in sorted(budget.keys() | found.keys()):
        allowed, now = budget.get(name), found.get(name)
        if allowed is None or now is None:
            yield f"{name}: {'no budget yet' if allowed is None else 'no longer counted'}. Run: {_WRITE}"
            continue
        print(f"{name}: {now:,} instructions a request, {now / allowed - 1:+.1%}")
        if now > allowed * (1 + TOLERANCE):
            yield f"{name} costs {now / allowed - 1:.1%} more than its budget. If that is worth it: {_WRITE}"


_WRITE = "make check-budget ARGS=--write"


def _run(folder: Path, url: str) -> None:
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/counts"]
    command = [*valgrind, sys.executable, "-m", "bench.counted", url]
    done = subprocess.run(
        command, check=False, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)


def _per_request(folder: Path) -> Iterator[tuple[str, int]]:
    """Medians of the batches: what the process does besides, now and then, falls into one or two of them."""
    batches: dict[str, list[int]] = {}
    for file in folder.glob("counts.*"):
        if found := _DUMP.search(file.read_text()):
            batches.setdefault(found[1], []).append(int(found[2]))
    for name, totals in sorted(batches.items()):
        yield name, round(median(totals) / BATCH)


if __name__ == "__main__":
    main()
