"""The bounds that were set, compared with growth.json: p99 in milliseconds, and how it grows with a viewer's accounts."""

from collections.abc import Iterator, Sequence

from bench.beside import Row

FEW = 100


def rows(figures: Sequence[Row]) -> Iterator[Row]:
    """Compare the largest viewer with one of 100 accounts; then list 64 connections for each number of all accounts."""
    viewers = [row for row in figures if row["by"] == "accounts of the viewer"]
    largest = max((int(row["accounts"]) for row in viewers), default=FEW)
    few, many = (_by_name(viewers, size) for size in (FEW, largest))
    for database, name in sorted(few.keys() & many.keys()):
        before, after = few[database, name], many[database, name]
        bound = " (bound: 1.5)" if "page" in name else ""
        growth = f"{float(after['p99 ms']) / float(before['p99 ms']):.2f}{bound}"
        yield _line(database, f"{name}, {FEW:,} to {largest:,} accounts of a viewer", after["p99 ms"], growth)
    for row in figures:
        if row["by"] == "all accounts" and "64" in str(row["asked"]):
            name = f"{row['asked']}, {int(row['accounts']):,} accounts"
            yield _line(str(row["database"]), name, row["p99 ms"], "(bound: 150 ms at 1,000,000)")


def _by_name(figures: Sequence[Row], size: int) -> dict[tuple[str, str], Row]:
    return {(str(row["database"]), str(row["asked"])): row for row in figures if row["accounts"] == size}


def _line(database: str, name: str, p99: str | float, growth: str) -> Row:
    return {"database": database, "asked": name, "p99 ms": p99, "p99 / p99 at 100": growth}
