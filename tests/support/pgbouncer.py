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
def run_pgbouncer(url: str, folder: Path, *, mode: str, size: int = 20) -> Iterator[str]:
    """Run PgBouncer, and yield the URL of the same database through it. `mode`: its `pool_mode`."""
    server = make_url(url)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    connection = {
        "host": server.query.get("host") or server.host,
        "port": server.query.get("port") or server.port or 5432,
        "user": server.username,
        "password": server.password,
    }
    file = folder / "pgbouncer.ini"
    file.write_text(
        _SETTINGS.format(
            server=" ".join(f"{name}={value}" for name, value in connection.items() if value),
            port=port,
            mode=mode,
            size=size,
            user=f"user = {_find_user(str(connection['host']))}" if os.getuid() == 0 else "",  # it does not run as root
        )
    )
    log = folder / "pgbouncer.log"
    with log.open("wb") as output:
        process = subprocess.Popen(["pgbouncer", file], stdout=output, stderr=output)
    try:
        _wait(process, port, log)
        yield server.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
    finally:
        process.terminate()
        process.wait(10)


def _find_user(host: str) -> str:
    """Return the user that may open the server's Unix socket, if it has one."""
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
