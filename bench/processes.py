"""Servers in processes of their own, on processors of their own, and what they use."""

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
    """One command and its children."""

    def __init__(self, popen: subprocess.Popen[bytes], port: int) -> None:
        self._popen = popen
        self._of = psutil.Process(popen.pid)
        self.url = f"http://127.0.0.1:{port}"

    @property
    def family(self) -> list[psutil.Process]:
        return [self._of, *self._of.children(recursive=True)]

    def processor_seconds(self) -> float:
        """User and system time until now; a database's own processes are not among them."""
        times = [process.cpu_times() for process in self.family]
        return float(sum(one.user + one.system for one in times))

    def memory(self) -> list[float]:
        """Resident megabytes of each process that serves."""
        return [process.memory_info().rss / 1e6 for process in self.family]


@contextmanager
def started(
    command: list[str | Path], port: int, *, processors: str, log: Path, env: Mapping[str, str]
) -> Iterator[Process]:
    """A server that listens; it is ended however the block ends. Raises RuntimeError if it does not come up."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        popen = subprocess.Popen(
            ["taskset", "-c", processors, *command], stdout=out, stderr=out, cwd=log.parent, env={**os.environ, **env}
        )
    try:
        _wait(popen, port, log)
        yield Process(popen, port)
    finally:
        popen.terminate()
        popen.wait(30)


def _wait(popen: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and popen.poll() is None:
        try:
            create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{popen.args!r} did not come up. It said:\n{log.read_text()}")


@contextmanager
def pinned(parent: int | None, processors: str) -> Iterator[None]:
    """A process that we started, its children and those to come, on these processors; None is left alone."""
    of = psutil.Process(parent) if parent else None
    _pin(of, [int(number) for number in processors.split(",")])
    try:
        yield
    finally:
        _pin(of, PROCESSORS)


def _pin(parent: psutil.Process | None, processors: list[int]) -> None:
    for process in (parent, *parent.children(recursive=True)) if parent else ():
        with suppress(psutil.NoSuchProcess):  # a connection that has just ended
            process.cpu_affinity(processors)


def free_port() -> int:
    with socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
