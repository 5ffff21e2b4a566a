"""Load by wrk, from a processor that the server does not run on: as many requests as the server answers."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from bench.processes import OTHERS, Process

SCRIPT = Path(__file__).with_suffix(".lua")
SEED = 5


class Request(NamedTuple):
    """An HTTP request; `identity` is the name and the value of the header that authenticates it."""

    method: str
    path: str
    identity: tuple[str, str]
    body: str = ""


class LoadFailed(Exception):
    """A response was an error, was cut off or did not come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """Requests a second, latencies in milliseconds, and processor time per request in microseconds."""

    per_second: float
    p50: float
    p99: float
    longest: float
    processor: float


def run_load(
    server: Process, requests: list[Request], *, seconds: float, connections: int, processors: str = OTHERS
) -> LoadResult:
    """Send the requests in a shuffled order, which is the same for every server. Raise LoadFailed."""
    shuffled = Random(SEED).sample(requests, len(requests))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(
            "\t".join((request.method, request.path, *request.identity, request.body)) + "\n" for request in shuffled
        )
        file.flush()
        before = server.processor_seconds()
        summary = _wrk(server.url, file.name, seconds=seconds, connections=connections, processors=processors)
        processor_seconds = server.processor_seconds() - before
    if summary["refused"] or summary["cut"] or not summary["requests"]:
        raise LoadFailed(f"{server.url}{requests[0].path}: {summary}")
    return LoadResult(
        per_second=summary["requests"] / summary["seconds"],
        p50=summary["p50"],
        p99=summary["p99"],
        longest=summary["longest"],
        processor=1e6 * processor_seconds / summary["requests"],
    )


def _wrk(url: str, requests_file: str, *, seconds: float, connections: int, processors: str) -> dict[str, float]:
    command: list[str | Path] = [
        "taskset",
        "-c",
        processors,
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
        "--timeout",
        "60s",
        "-s",
        SCRIPT,
        url,
    ]
    process = subprocess.run([*command, "--", requests_file], check=True, capture_output=True, text=True)
    summary: dict[str, float] = json.loads(process.stdout[process.stdout.rindex("{") :])
    return summary
