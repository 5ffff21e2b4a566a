"""The process of a neighbour (`neighbours.py`): asks until it is killed, and reports at each line that it is sent."""

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
    """Asks one thing again and again, in a thread."""

    address: str
    ask: Callable[[HTTPConnection], None]
    every: float
    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    began: float | None = None

    def run(self) -> None:
        connection = HTTPConnection(self.address, timeout=PATIENCE)
        while True:
            self.began = time.perf_counter()
            try:
                self.ask(connection)
                answer = connection.getresponse()
                answer.read()
                self.failed += answer.status != 200
            except (OSError, HTTPException):
                self.failed += 1
                connection.close()
            took = time.perf_counter() - self.began
            self.began = None
            self.seconds.append(took)
            time.sleep(max(0.0, self.every - took))

    def taken(self) -> tuple[list[float], int]:
        seconds, failed = self.seconds, self.failed
        self.seconds, self.failed = [], 0
        if (began := self.began) is not None:
            seconds = [*seconds, time.perf_counter() - began]
        return [one * 1000 for one in seconds], failed


def _report(lists: _Asker, probes: _Asker) -> dict[str, float]:
    times, failed = lists.taken()
    stood_still, _ = probes.taken()
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
    told = json.loads(sys.argv[1])
    address = urlsplit(told["url"]).netloc
    headers = {"Authorization": f"Bearer {told['token']}", "Content-Type": "application/json"}
    body = json.dumps({"query": told["query"]})
    lists = _Asker(address=address, every=told["every"], ask=lambda at: at.request("POST", "/graphql", body, headers))
    probes = _Asker(address=address, every=told["every"], ask=lambda at: at.request("GET", "/livez"))
    for asker in (lists, probes):
        threading.Thread(target=asker.run, daemon=True).start()
    for line in sys.stdin:
        deadline = time.monotonic() + PATIENCE
        while len(lists.seconds) < int(line) and time.monotonic() < deadline:
            time.sleep(told["every"])
        print(json.dumps(_report(lists, probes)), flush=True)  # noqa: T201 - to the test


if __name__ == "__main__":
    _main()
