"""The process of a neighbour (`neighbours.py`): sends requests until it is killed, and reports for each line of its input."""

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from statistics import quantiles
from urllib.parse import urlsplit

PATIENCE = 30.0


@dataclass(slots=True, kw_only=True)
class _Asker:
    """Sends one request again and again, in a thread."""

    address: str
    ask: Callable[[HTTPConnection], None]
    every: float
    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    started_at: float | None = None

    def run(self) -> None:
        connection = HTTPConnection(self.address, timeout=PATIENCE)
        while True:
            self.started_at = time.perf_counter()
            try:
                self.ask(connection)
                answer = connection.getresponse()
                answer.read()
                self.failed += answer.status != 200
            except (OSError, HTTPException):
                self.failed += 1
                connection.close()
            elapsed = time.perf_counter() - self.started_at
            self.started_at = None
            self.seconds.append(elapsed)
            time.sleep(max(0.0, self.every - elapsed))

    def take(self) -> tuple[list[float], int]:
        seconds, failed = self.seconds, self.failed
        self.seconds, self.failed = [], 0
        if (started_at := self.started_at) is not None:
            seconds = [*seconds, time.perf_counter() - started_at]
        return [1000 * each for each in seconds], failed


def _report(lists: _Asker, probes: _Asker) -> dict[str, float]:
    times, failed = lists.take()
    stood_still, _ = probes.take()
    parts = quantiles(times, n=100) if len(times) > 1 else times * 99
    return {
        "asked": len(times),
        "failed": failed,
        "p50": parts[49],
        "p99": parts[98],
        "slowest": max(times),
        "stood_still": max(stood_still, default=0.0),
    }


def _main() -> None:
    arguments = json.loads(sys.argv[1])
    address = urlsplit(arguments["url"]).netloc
    headers = {"Authorization": f"Bearer {arguments['token']}", "Content-Type": "application/json"}
    body = json.dumps({"query": arguments["query"]})
    lists = _Asker(
        address=address,
        every=arguments["every"],
        ask=lambda connection: connection.request("POST", "/graphql", body, headers),
    )
    probes = _Asker(
        address=address, every=arguments["every"], ask=lambda connection: connection.request("GET", "/livez")
    )
    for asker in (lists, probes):
        threading.Thread(target=asker.run, daemon=True).start()
    for line in sys.stdin:
        deadline = time.monotonic() + PATIENCE
        while len(lists.seconds) < int(line) and time.monotonic() < deadline:
            time.sleep(arguments["every"])
        print(json.dumps(_report(lists, probes)), flush=True)  # noqa: T201 - to the test


if __name__ == "__main__":
    _main()
