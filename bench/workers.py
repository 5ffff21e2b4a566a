"""Two workers on two processors beside one on one.

Load and database need a processor too. With four or more, they use those that no worker uses. With fewer, they
share the workers': one worker, load and database on one processor, then two workers, load and database on two.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.beside import Row
from bench.documents import CASES
from bench.load import LoadResult, run_load
from bench.ours import build_list_request, our_server
from bench.processes import PROCESSORS, pin_processors

CONNECTIONS = 16
ENOUGH_PROCESSORS = 4


def measure(url: str, *, postgres: int | None, viewers: int, rounds: int, seconds: int, folder: Path) -> Iterator[Row]:
    """`postgres` is the id of the database's main process."""
    case = CASES[1]
    requests = [build_list_request(viewer, case, None) for viewer in range(viewers)]
    results_by_count: dict[int, list[LoadResult]] = {1: [], 2: []}
    with ExitStack() as stack:
        servers = {}
        for count in results_by_count:
            worker_processors, _ = _split(count)
            logs = folder / "logs" / f"workers-{count}"
            servers[count] = stack.enter_context(our_server(url, logs, workers=count, processors=worker_processors))
        for number in range(rounds + 1):
            for count in results_by_count:
                _, other_processors = _split(count)
                with pin_processors(postgres, other_processors):
                    result = run_load(
                        servers[count], requests, seconds=seconds, connections=CONNECTIONS, processors=other_processors
                    )
                results_by_count[count] += [result] if number else []
    ratio = median(
        two_workers.per_second / one_worker.per_second
        for one_worker, two_workers in zip(results_by_count[1], results_by_count[2], strict=True)
    )
    for count, results in results_by_count.items():
        yield {
            "workers": count,
            "on processors": _split(count)[0],
            "load and database on": _split(count)[1],
            "case": case.name,
            "requests a second": round(median(result.per_second for result in results), 1),
            "requests / one worker": round(ratio, 2) if count == 2 else "",
        }


def _split(count: int) -> tuple[str, str]:
    """Return the workers' processors, and those of everything else."""
    workers = ",".join(map(str, PROCESSORS[:count]))
    return workers, ",".join(map(str, PROCESSORS[2:])) if len(PROCESSORS) >= ENOUGH_PROCESSORS else workers
