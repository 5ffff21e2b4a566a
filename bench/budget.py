"""Instructions per request compared with bench/budget.json; `--write` records them as the new budget.

Valgrind counts them, so no clock, other load or model of processor affects the figures. They differ a little between builds
of Python: a budget is for the one that it names.
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

from bench.count_instructions import BATCH
from bench.rows import Population
from bench.stores import sqlite_store

FILE = Path(__file__).with_name("budget.json")
TOLERANCE = 0.10
_DUMP = re.compile(r"^desc: Trigger: Client Request: ([^\n]+)$.*?^totals: (\d+)$", re.MULTILINE | re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make check-budget", description=__doc__)
    parser.add_argument("--write", action="store_true", help="record the figures of this run as the budget")
    if parser.parse_args().write:
        FILE.write_text(json.dumps({"python": platform.python_version(), "instructions": count_all()}, indent=2) + "\n")
    else:
        sys.exit("\n".join(find_exceeded(json.loads(FILE.read_text())["instructions"], count_all())) or None)


def count_all() -> dict[str, int]:
    """Return instructions per request by operation, on SQLite, with one request at a time."""
    with tempfile.TemporaryDirectory() as folder:
        url = sqlite_store(Path(folder), Population.even(4, 200))
        _run(Path(folder), url)
        return dict(_per_request(Path(folder)))


def find_exceeded(budget: Mapping[str, int], counts: Mapping[str, int]) -> Iterator[str]:
    """Print all figures. Yield a line for each operation above its budget, without one, or no longer counted."""
    for name in sorted(budget.keys() | counts.keys()):
        allowed, count = budget.get(name), counts.get(name)
        if allowed is None or count is None:
            yield f"{name}: {'no budget yet' if allowed is None else 'no longer counted'}. Run: {_WRITE}"
            continue
        print(f"{name}: {count:,} instructions a request, {count / allowed - 1:+.1%}")
        if count > allowed * (1 + TOLERANCE):
            yield f"{name} costs {count / allowed - 1:.1%} more than its budget. If that is worth it: {_WRITE}"


_WRITE = "make check-budget ARGS=--write"


def _run(folder: Path, url: str) -> None:
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/counts"]
    command = [*valgrind, sys.executable, "-m", "bench.count_instructions", url]
    process = subprocess.run(
        command, check=False, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True
    )
    if process.returncode:
        raise RuntimeError(process.stderr)


def _per_request(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the medians of the batches: periodic work of the process falls into one or two of them only."""
    batches: dict[str, list[int]] = {}
    for file in folder.glob("counts.*"):
        if match := _DUMP.search(file.read_text()):
            batches.setdefault(match[1], []).append(int(match[2]))
    for name, totals in sorted(batches.items()):
        yield name, round(median(totals) / BATCH)


if __name__ == "__main__":
    main()
