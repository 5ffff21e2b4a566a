"""From the figures in docs/performance to docs/performance.md: what stands between the two marks is written anew."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import bounds
from bench.beside import Row

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
FIGURES = HERE.parent / "docs" / "performance"
BEGIN, END = "<!-- make bench writes what follows -->", "<!-- make bench wrote what precedes -->"
TITLES = {
    "beside": "## Beside the peers",
    "least": "## Beside the least",
    "layers": "## By layer",
    "workers": "## Two workers",
    "growth": "## As data grows",
    "memory": "## Memory",
}
NOTES = {
    "beside": "Medians of rounds in which everybody is asked in turn, each one process on the same processor. Ours signs in, "
    "audits and logs, and so do the peers of the same work; the others do none of it. `processor µs` is user and system time "
    "per request, the database's left out.",
    "least": "Beginnings of lists on PostgreSQL. The least: uvicorn and asyncpg with 100 lines between them that answer nothing "
    "but this (`bench/peers/least.py`); they know tokens and insert audit events in groups as ours does, and check, limit and "
    "log nothing.",
    "layers": "Processor time of one process for the beginning of a list of 20 on PostgreSQL, asked for at each layer, eight "
    "at a time, without sockets for HTTP. Each layer holds those above it; the audit alone writes its events in groups of eight.",
    "workers": "",
    "growth": "Cache off. Latencies are those of 8 connections that ask without a pause, unless another number is given.",
    "memory": "The largest process that serves, under all lists of all viewers with the cache on.",
}


def table(found: Sequence[Row]) -> str:
    """Markdown."""
    names = list(found[0])
    rules = ["---:" if isinstance(value, int | float) else "---" for value in found[0].values()]
    lines = [names, rules, *([str(value) for value in row.values()] for row in found)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write() -> None:
    """The tables of all figures, whenever each part was measured, and the plots."""
    figures = {part: json.loads(file.read_text()) for part in TITLES if (file := FIGURES / f"{part}.json").exists()}
    text = "\n\n".join(_section(part, found) for part, found in figures.items())
    page = PAGE.read_text() if PAGE.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2] or "\n"
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
    if "growth" in figures:
        python = HERE.parent / ".venv-bench" / "bin" / "python"
        subprocess.run([python, HERE / "plots.py", FIGURES / "growth.json", FIGURES], check=True)


def _section(part: str, found: dict[str, Any]) -> str:
    rows: list[Row] = found["rows"]
    where = f"{found['machine']}, Python {found['python']}, {found['date']}: `{found['command']}`"
    if part == "growth":
        plots = "\n".join(f"![{name}](performance/{name}.png)" for name in ("accounts-of-a-viewer", "all-accounts"))
        bound = table(list(bounds.rows(rows)))
        shown = f"{bound}\n\n{plots}\n\n<details><summary>Figures</summary>\n\n{table(rows)}\n\n</details>"
    elif part == "memory":
        shown = table(rows[:: max(1, len(rows) // 10)])
    else:
        shown = table(rows)
    return "\n\n".join(part for part in (TITLES[part], NOTES[part], where, shown) if part)
