"""PgBouncer in front of the tests' PostgreSQL."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

START_SECONDS = 20
_SETTINGS = """
[databases]
* = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
pidfile =
{user}
"""


@contextmanager
def pooled(url: str, folder: Path, *, mode: str, size: int = 20) -> Iterator[str]:
    """The URL of the same database by way of the pooler; `mode` is its `pool_mode`."""
    server = make_url(url)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    where = {
        "host": server.query.get("host") or server.host,
        "port": server.query.get("port") or server.port or 5432,
        "user": server.username,
        "password": server.password,
    }
    file = folder / "pgbouncer.ini"
    file.write_text(
        _SETTINGS.format(
            server=" ".join(f"{name}={value}" for name, value in where.items() if value),
            port=port,
            mode=mode,
            size=size,
            user=f"user = {_owner(str(where['host']))}" if os.getuid() == 0 else "",  # it does not run as root
        )
    )
    log = folder / "pgbouncer.log"
    with log.open("wb") as written:
        process = subprocess.Popen(["pgbouncer", file], stdout=written, stderr=written)
    try:
        _wait(process, port, log)
        yield server.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
    finally:
        process.terminate()
        process.wait(10)


def _owner(host: str) -> str:
    """Who may open the server's socket, if it listens on one."""
    return Path(host).owner() if host.startswith("/") else "nobody"


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("PgBouncer did not start.")
