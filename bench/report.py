"""Writes docs/performance.md from the figures in docs/performance, between the page's two marks."""

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
    "beside": "Medians of rounds in which all servers are measured in turn, each one process on the same processor. Ours "
    "authenticates, audits and logs, and so do the peers of the same work; the others do none of it. `processor µs` is user "
    "and system time per request, without the database's.",
    "least": "Beginnings of lists on PostgreSQL. The least: uvicorn and asyncpg with 100 lines between them that answer nothing "
    "but this (`bench/peers/least.py`); they know tokens and insert audit events in groups as ours does, and check, limit and "
    "log nothing.",
    "layers": "Processor time of one process for the beginning of a list of 20 on PostgreSQL, asked for at each layer, eight "
    "at a time, without sockets for HTTP. Each layer holds those above it; the audit alone writes its events in groups of eight.",
    "workers": "",
    "growth": "Cache off. Latencies are those of 8 connections that ask without a pause, unless another number is given.",
    "memory": "The largest process that serves, under all lists of all viewers with the cache on.",
}


def table(rows: Sequence[Row]) -> str:
    """Return a Markdown table."""
    names = list(rows[0])
    rules = ["---:" if isinstance(value, int | float) else "---" for value in rows[0].values()]
    lines = [names, rules, *([str(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write() -> None:
    """Write the tables of all parts, each from its latest measurement, and the plots."""
    figures = {part: json.loads(file.read_text()) for part in TITLES if (file := FIGURES / f"{part}.json").exists()}
    text = "\n\n".join(_section(part, of_part) for part, of_part in figures.items())
    page = PAGE.read_text() if PAGE.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2] or "\n"
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
    if "growth" in figures:
        python = HERE.parent / ".venv-bench" / "bin" / "python"
        subprocess.run([python, HERE / "plots.py", FIGURES / "growth.json", FIGURES], check=True)


def _section(part: str, figures: dict[str, Any]) -> str:
    rows: list[Row] = figures["rows"]
    source = f"{figures['machine']}, Python {figures['python']}, {figures['date']}: `{figures['command']}`"
    if part == "growth":
        plots = "\n".join(f"![{name}](performance/{name}.png)" for name in ("accounts-of-a-viewer", "all-accounts"))
        bound = table(list(bounds.rows(rows)))
        body = f"{bound}\n\n{plots}\n\n<details><summary>Figures</summary>\n\n{table(rows)}\n\n</details>"
    elif part == "memory":
        body = table(rows[:: max(1, len(rows) // 10)])
    else:
        body = table(rows)
    return "\n\n".join(text for text in (TITLES[part], NOTES[part], source, body) if text)
