"""Servers as child processes on given processors, and the processor time and memory that they use."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection, socket

import psutil

PROCESSORS = sorted(os.sched_getaffinity(0))
SERVER = str(PROCESSORS[0])
OTHERS = ",".join(map(str, PROCESSORS[1:] or PROCESSORS))
EVERY = ",".join(map(str, PROCESSORS))
START_SECONDS = 60


class Process:
    """A command and its child processes."""

    def __init__(self, popen: subprocess.Popen[bytes], port: int) -> None:
        self._popen = popen
        self._process = psutil.Process(popen.pid)
        self.url = f"http://127.0.0.1:{port}"

    @property
    def family(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def processor_seconds(self) -> float:
        """Return the user and system time since the start, without that of a database's processes."""
        times = [process.cpu_times() for process in self.family]
        return float(sum(time.user + time.system for time in times))

    def memory(self) -> list[float]:
        """Return the resident memory of each process in megabytes."""
        return [process.memory_info().rss / 1e6 for process in self.family]


@contextmanager
def run_server(
    command: list[str | Path], port: int, *, processors: str, log: Path, env: Mapping[str, str]
) -> Iterator[Process]:
    """Run a server until the block ends. Raise RuntimeError if it does not listen after START_SECONDS."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        popen = subprocess.Popen(
            ["taskset", "-c", processors, *command], stdout=out, stderr=out, cwd=log.parent, env={**os.environ, **env}
        )
    try:
        _wait_for_port(popen, port, log)
        yield Process(popen, port)
    finally:
        popen.terminate()
        popen.wait(30)


def _wait_for_port(popen: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and popen.poll() is None:
        try:
            create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{popen.args!r} did not start. Its log:\n{log.read_text()}")


@contextmanager
def pin_processors(parent: int | None, processors: str) -> Iterator[None]:
    """Keep a process, its children and those that it starts on these processors until the block ends. Nothing for None."""
    process = psutil.Process(parent) if parent else None
    _pin(process, [int(number) for number in processors.split(",")])
    try:
        yield
    finally:
        _pin(process, PROCESSORS)


def _pin(parent: psutil.Process | None, processors: list[int]) -> None:
    for process in (parent, *parent.children(recursive=True)) if parent else ():
        with suppress(psutil.NoSuchProcess):  # a connection of PostgreSQL that has just closed
            process.cpu_affinity(processors)


def free_port() -> int:
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
