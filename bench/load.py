"""Load by wrk, from a processor that the server does not have: as many requests as it answers."""

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


class Ask(NamedTuple):
    """One request; `identity` is the name and the value of the header that signs in."""

    method: str
    path: str
    identity: tuple[str, str]
    body: str = ""


class LoadFailed(Exception):
    """Not every answer was good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of it: times in milliseconds, processor time in microseconds."""

    per_second: float
    p50: float
    p99: float
    longest: float
    processor: float


def load(server: Process, asks: list[Ask], *, seconds: float, connections: int, processors: str = OTHERS) -> Load:
    """The same requests in the same mixed order for everybody. Raises LoadFailed."""
    mixed = Random(SEED).sample(asks, len(asks))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines("\t".join((one.method, one.path, *one.identity, one.body)) + "\n" for one in mixed)
        file.flush()
        before = server.processor_seconds()
        said = _wrk(server.url, file.name, seconds=seconds, connections=connections, processors=processors)
        spent = server.processor_seconds() - before
    if said["refused"] or said["cut"] or not said["requests"]:
        raise LoadFailed(f"{server.url}{asks[0].path}: {said}")
    return Load(
        per_second=said["requests"] / said["seconds"],
        p50=said["p50"],
        p99=said["p99"],
        longest=said["longest"],
        processor=1e6 * spent / said["requests"],
    )


def _wrk(url: str, requests: str, *, seconds: float, connections: int, processors: str) -> dict[str, float]:
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
    done = subprocess.run([*command, "--", requests], check=True, capture_output=True, text=True)
    said: dict[str, float] = json.loads(done.stdout.rpartition("{")[1] + done.stdout.rpartition("{")[2])
    return said
