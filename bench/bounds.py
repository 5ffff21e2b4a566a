"""What growth.json says about the bounds that were set: p99 in milliseconds, and how it grows with a viewer's accounts."""

from collections.abc import Iterator, Sequence

from bench.beside import Row

FEW = 100


def rows(found: Sequence[Row]) -> Iterator[Row]:
    """The largest viewer beside one with 100 accounts; then 64 connections at each number of all accounts."""
    viewers = [row for row in found if row["by"] == "accounts of the viewer"]
    largest = max((int(row["accounts"]) for row in viewers), default=FEW)
    few, many = (_by_name(viewers, size) for size in (FEW, largest))
    for database, asked in sorted(few.keys() & many.keys()):
        before, after = few[database, asked], many[database, asked]
        bound = " (bound: 1.5)" if "page" in asked else ""
        grown = f"{float(after['p99 ms']) / float(before['p99 ms']):.2f}{bound}"
        yield _line(database, f"{asked}, {FEW:,} to {largest:,} accounts of a viewer", after["p99 ms"], grown)
    for row in found:
        if row["by"] == "all accounts" and "64" in str(row["asked"]):
            asked = f"{row['asked']}, {int(row['accounts']):,} accounts"
            yield _line(str(row["database"]), asked, row["p99 ms"], "(bound: 150 ms at 1,000,000)")


def _by_name(found: Sequence[Row], size: int) -> dict[tuple[str, str], Row]:
    return {(str(row["database"]), str(row["asked"])): row for row in found if row["accounts"] == size}


def _line(database: str, asked: str, p99: str | float, grown: str) -> Row:
    return {"database": database, "asked": asked, "p99 ms": p99, "p99 / p99 at 100": grown}
