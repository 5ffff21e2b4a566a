"""Draws growth.json: `plots.py growth.json FOLDER`. Runs in the peers' environment, which has matplotlib."""

import json
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

FILES = {"accounts of the viewer": "accounts-of-a-viewer", "all accounts": "all-accounts"}
BOUND = 150  # milliseconds, of docs/performance.md


def main() -> None:
    rows = json.loads(Path(sys.argv[1]).read_text())["rows"]
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for by, name in FILES.items():
        draw([row for row in rows if row["by"] == by], by, folder / f"{name}.png")


def draw(rows: list[dict], by: str, file: Path) -> None:
    """Draw a panel for each database and a color for each query: p50 solid, p99 dashed."""
    databases = list(dict.fromkeys(row["database"] for row in rows))
    figure, panels = plt.subplots(1, len(databases), figsize=(12, 5), sharey=True, squeeze=False)
    for panel, database in zip(panels[0], databases, strict=True):
        lines = defaultdict(list)
        for row in rows:
            if row["database"] == database:
                lines[row["asked"]].append(row)
        for number, (label, points) in enumerate(lines.items()):
            sizes = [point["accounts"] for point in points]
            panel.plot(sizes, [point["p50 ms"] for point in points], color=f"C{number}", marker="o", label=label)
            panel.plot(sizes, [point["p99 ms"] for point in points], color=f"C{number}", marker=".", linestyle="--")
        panel.axhline(BOUND, color="gray", linewidth=0.8)
        panel.set(title=database, xlabel=by, xscale="log", yscale="log")
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("milliseconds: p50 solid, p99 dashed; gray: 150")
    panels[0][-1].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(figure)


main()
