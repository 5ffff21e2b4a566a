"""Two workers on two processors beside one on one.

Load and database need a processor too. Where there are four or more, they have those that no worker has. Where there are
fewer, they share the workers': one worker, load and database on one processor, then two workers, load and database on two.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.beside import Row
from bench.documents import CASES
from bench.load import Load, load
from bench.ours import list_ask, our_server
from bench.processes import PROCESSORS, pinned

CONNECTIONS = 16
ENOUGH = 4


def measure(url: str, *, postgres: int | None, viewers: int, rounds: int, seconds: int, folder: Path) -> Iterator[Row]:
    """`postgres` is the database's first process."""
    case = CASES[1]
    asks = [list_ask(viewer, case, None) for viewer in range(viewers)]
    rates: dict[int, list[Load]] = {1: [], 2: []}
    with ExitStack() as up:
        servers = {}
        for count in rates:
            own, _ = _split(count)
            logs = folder / "logs" / f"workers-{count}"
            servers[count] = up.enter_context(our_server(url, logs, workers=count, processors=own))
        for number in range(rounds + 1):
            for count in rates:
                _, rest = _split(count)
                with pinned(postgres, rest):
                    came = load(servers[count], asks, seconds=seconds, connections=CONNECTIONS, processors=rest)
                rates[count] += [came] if number else []
    ratio = median(two.per_second / one.per_second for one, two in zip(rates[1], rates[2], strict=True))
    for count, loads in rates.items():
        yield {
            "workers": count,
            "on processors": _split(count)[0],
            "load and database on": _split(count)[1],
            "case": case.name,
            "requests a second": round(median(one.per_second for one in loads), 1),
            "requests / one worker": round(ratio, 2) if count == 2 else "",
        }


def _split(count: int) -> tuple[str, str]:
    """The workers' processors, and those of everything else."""
    own = ",".join(map(str, PROCESSORS[:count]))
    return own, ",".join(map(str, PROCESSORS[2:])) if len(PROCESSORS) >= ENOUGH else own
