"""The command as people run it: in a process of its own, which ends however the test ends."""

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
START_SECONDS = 60  # on a machine that is busy with other things


@dataclass(frozen=True, kw_only=True)
class Started:
    """A command under way; what it says goes to files, so that it never waits for a reader."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def wait_for(self, find: Callable[[str], str | None], file: Path, *, seconds: float = START_SECONDS) -> str:
        """What `find` finds first in the whole lines of a file."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lines, _, _ = file.read_text().rpartition("\n")
            if found := find(lines):
                return found
            assert self.process.poll() is None, self.err.read_text()
            time.sleep(0.02)
        raise AssertionError(self.err.read_text())

    def first_line(self) -> str:
        return self.wait_for(lambda lines: lines.partition("\n")[0] or None, self.out)

    def end(self, sign: signal.Signals, *, seconds: float = 30) -> int:
        """The exit code after a signal."""
        self.process.send_signal(sign)
        return self.process.wait(seconds)


@contextmanager
def started(
    folder: Path,
    *arguments: str | Path,
    command: Path = COMMAND,
    env: Mapping[str, str] | None = None,
    files: int | None = None,
) -> Iterator[Started]:
    """A command that goes on; its working folder is `folder`. `files`: as many it may open."""
    out, err = folder / "stdout", folder / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [command, *arguments],
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            env=environment(**(env or {})),
            start_new_session=True,
        )
    if files is not None:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (files, files))
    try:
        yield Started(process=process, out=out, err=err)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers too
        process.wait()


def run(
    folder: Path, *arguments: str | Path, command: Path = COMMAND, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [command, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(**(env or {})),
        timeout=START_SECONDS,
        check=False,
    )


def environment(**values: str) -> dict[str, str]:
    """That of this process, without settings of whoever runs the tests."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("ACCOUNTS_")}
    return {**own, **values}
