"""The command line in a process of its own, which ends when the test ends, however it ends."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

COMMAND = Path(sys.executable).parent / "tiktok-accounts"
START_SECONDS = 60  # on a busy machine
POLL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class CommandProcess:
    """A running command. Its output goes to files, so that it never waits for a reader."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def wait_for(self, find: Callable[[str], str | None], file: Path, *, seconds: float = START_SECONDS) -> str:
        """Wait until `find` returns something for the complete lines of a file, and return that."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lines, _, _ = file.read_text().rpartition("\n")
            if match := find(lines):
                return match
            assert self.process.poll() is None, self.err.read_text()
            time.sleep(POLL_SECONDS)
        raise AssertionError(self.err.read_text())

    def first_line(self) -> str:
        return self.wait_for(lambda lines: lines.partition("\n")[0] or None, self.out)

    def end(self, sign: signal.Signals, *, seconds: float = 30) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(sign)
        return self.process.wait(seconds)


@contextmanager
def start_command(
    folder: Path,
    *arguments: str | Path,
    command: Path = COMMAND,
    env: Mapping[str, str] | None = None,
    files: int | None = None,
) -> Iterator[CommandProcess]:
    """Start a command in a working folder. `files`: the number of files that it may open."""
    out, err = folder / "stdout", folder / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [command, *arguments],
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            env=create_environment(**(env or {})),
            start_new_session=True,
        )
    if files is not None:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (files, files))
    try:
        yield CommandProcess(process=process, out=out, err=err)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers too
        process.wait()


def run(
    folder: Path, *arguments: str | Path, command: Path = COMMAND, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        [command, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=create_environment(**(env or {})),
        timeout=START_SECONDS,
        check=False,
    )


def create_environment(**values: str) -> dict[str, str]:
    """Return the environment of this process without its settings, and with `values`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ACCOUNTS_")}
    return {**inherited, **values}
