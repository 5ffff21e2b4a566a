"""The sandbox on a port: in a thread beside other work, or alone."""

import threading
import time
from contextlib import suppress
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket
from types import TracebackType

import uvicorn

from tiktok_accounts_gql.sandbox.app import Sandbox
from tiktok_accounts_gql.sandbox.control import PAGE_PATH

START_SECONDS = 10
KEEP_ALIVE_SECONDS = 75  # longer than clients keep a silent connection: a request that meets its end fails


class SandboxServer:
    """`with SandboxServer(sandbox, port=0) as url:` serves until the block ends. Raises OSError if it cannot."""

    def __init__(self, sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0) -> None:
        config = uvicorn.Config(
            sandbox.app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._listening = listen(host, port)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._listening],), daemon=True)
        self.url = f"http://{host}:{self._listening.getsockname()[1]}"

    def __enter__(self) -> str:
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline:
                raise OSError("The sandbox did not start.")
            time.sleep(0.005)
        return self.url

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listening.close()

    def serve(self) -> None:
        """In the caller's own thread, until a signal ends it."""
        self._server.run([self._listening])


def listen(host: str, port: int) -> socket:
    """A socket for uvicorn, whose own way ends the process where the port is taken. Raises OSError."""
    # With IPPROTO_TCP asyncio sets TCP_NODELAY on what it accepts; without, each answer of a kept connection takes 40 ms.
    listening = socket(AF_INET6 if ":" in host else AF_INET, SOCK_STREAM, IPPROTO_TCP)
    listening.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # whoever is told of it may come before uvicorn does
    except OSError as error:
        listening.close()
        raise OSError(f"Port {port} cannot be had ({error.strerror}). Choose another one by --port.") from None
    return listening


def run_sandbox(sandbox: Sandbox, *, host: str, port: int) -> None:
    """Alone, until Ctrl-C."""
    server = SandboxServer(sandbox, host=host, port=port)
    print(f"TikTok sandbox: {server.url}", flush=True)  # noqa: T201 - what the command is for
    print(f"Accounts, calls, faults: {server.url}{PAGE_PATH}", flush=True)  # noqa: T201
    with suppress(KeyboardInterrupt):  # uvicorn has ended by then, and raises the signal again
        server.serve()
