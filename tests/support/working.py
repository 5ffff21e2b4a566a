"""A worker process as `tiktok-accounts worker` runs it, with a faster heartbeat if the environment says so."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self
from uuid import uuid4

import structlog

from tests.cli.processes import COMMAND, CommandProcess, start_command
from tests.cli.serving import environment_variables
from tiktok_accounts_gql.background import HEARTBEAT, in_background
from tiktok_accounts_gql.jobs.worker import Heartbeat
from tiktok_accounts_gql.logs import configure_logs
from tiktok_accounts_gql.services.rate_limiter import PROBE_INTERVAL
from tiktok_accounts_gql.settings import Settings, load_settings
from tiktok_accounts_gql.wiring import open_services

ROOT = Path(__file__).parents[2]
STARTED = "worker started"
FAST = Heartbeat(interval=timedelta(seconds=1), dead_after=timedelta(seconds=4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker process, from outside."""

    started: CommandProcess
    _stack: ExitStack

    @classmethod
    def start(
        cls,
        folder: Path,
        settings: Settings,
        *,
        heartbeat: Heartbeat | None = None,
        probe_interval: timedelta | None = None,
    ) -> Self:
        """Start the command itself, or this module if a heartbeat or a probe interval is given."""
        stack, own_folder = ExitStack(), folder / uuid4().hex
        own_folder.mkdir()
        command = (COMMAND, "worker") if heartbeat is None and probe_interval is None else (PYTHON, "-m", __name__)
        env = {
            **environment_variables(settings),
            **_environment(heartbeat or HEARTBEAT, probe_interval or PROBE_INTERVAL),
        }
        worker = stack.enter_context(start_command(own_folder, *command[1:], command=Path(command[0]), env=env))
        worker.wait_for(lambda lines: lines if STARTED in lines else None, worker.err)
        return cls(started=worker, _stack=stack)

    @property
    def log(self) -> str:
        return self.started.err.read_text()

    @property
    def pid(self) -> int:
        return self.started.process.pid

    def kill(self) -> None:
        """Kill the process by SIGKILL; a second call does nothing."""
        self._stack.close()

    def end(self, *, seconds: float = 20) -> int:
        """End the process by SIGTERM; return its exit code."""
        code = self.started.end(signal.SIGTERM, seconds=seconds)
        self._stack.close()
        return code


@contextmanager
def workers(
    count: int,
    folder: Path,
    settings: Settings,
    *,
    heartbeat: Heartbeat | None = None,
    probe_interval: timedelta | None = None,
) -> Iterator[list[Worker]]:
    """Start workers; those in the list at the end are killed: replace one that you killed."""
    running: list[Worker] = []
    try:
        for _ in range(count):
            running.append(Worker.start(folder, settings, heartbeat=heartbeat, probe_interval=probe_interval))  # noqa: PERF401 - kept if one fails
        yield running
    finally:
        for worker in running:
            worker.kill()


PYTHON = COMMAND.parent / "python"


def _environment(heartbeat: Heartbeat, probe_interval: timedelta) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    seconds = {"BEAT": heartbeat.interval, "DEAD": heartbeat.dead_after, "PROBE": probe_interval}
    return {"PYTHONPATH": path, **{f"TEST_{name}": str(time.total_seconds()) for name, time in seconds.items()}}


def _seconds(name: str) -> timedelta:
    return timedelta(seconds=float(os.environ[f"TEST_{name}"]))


async def _main() -> None:
    settings, ended = load_settings(), asyncio.Event()
    configure_logs(settings.environment)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    heartbeat = Heartbeat(interval=_seconds("BEAT"), dead_after=_seconds("DEAD"))
    async with (
        open_services(settings, probe_interval=_seconds("PROBE")) as running,
        in_background(running, settings, heartbeat=heartbeat),
    ):
        structlog.get_logger().info(STARTED)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(_main())
