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

from bench.counted import FEW, MANY
from bench.rows import Population
from bench.stores import sqlite_store

FILE = Path(__file__).with_name("budget.json")
TOLERANCE = 0.10
_DUMP = re.compile(r"^desc: Trigger: Client Request: (.+)/(few|many)$.*^totals: (\d+)$", re.MULTILINE | re.DOTALL)


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
    totals: dict[str, dict[str, int]] = {}
    for file in folder.glob("counts.*"):
        if found := _DUMP.search(file.read_text()):
            totals.setdefault(found[1], {})[found[2]] = int(found[3])
    for name, of in sorted(totals.items()):
        yield name, (of["many"] - of["few"]) // (MANY - FEW)


if __name__ == "__main__":
    main()
