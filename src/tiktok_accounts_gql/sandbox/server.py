"""The sandbox on a port: in a thread beside other work, or alone."""

import threading
import time
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket
from types import TracebackType

import uvicorn

from tiktok_accounts_gql.sandbox.app import Sandbox

START_SECONDS = 10
START_POLL_SECONDS = 0.005
KEEP_ALIVE_SECONDS = 75  # longer than clients keep an idle connection: a request fails that is sent while it is closed


class SandboxServer:
    """A sandbox behind uvicorn: `with SandboxServer(sandbox, port=0) as url:`. Raises OSError if the port is in use."""

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
        self._listener = listen(host, port)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), daemon=True)
        self.url = f"http://{host}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> str:
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline:
                raise OSError("The sandbox did not start.")
            time.sleep(START_POLL_SECONDS)
        return self.url

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def serve(self) -> None:
        """Serve in the thread of the caller, until a signal ends it."""
        self._server.run([self._listener])


def listen(host: str, port: int) -> socket:
    """Return a listening socket for uvicorn, which by itself ends the process if the port is in use. Raises OSError."""
    # Only with IPPROTO_TCP does asyncio set TCP_NODELAY on accepted connections; without it each response takes 40 ms.
    listener = socket(AF_INET6 if ":" in host else AF_INET, SOCK_STREAM, IPPROTO_TCP)
    listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # clients may connect as soon as the port is known, before uvicorn accepts
    except OSError as error:
        listener.close()
        raise OSError(f"Port {port} is not available ({error.strerror}). Choose another one by --port.") from None
    return listener
