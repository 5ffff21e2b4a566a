"""Clients that read nothing of what they are sent.

Uvicorn waits for ever for one: closing a connection means to send the rest first. It is let go of here.
"""

import asyncio
from typing import Any, ClassVar


class Patience:
    """For how many seconds a connection waits for a client that does not read."""

    patience: ClassVar[float] = 30
    transport: asyncio.Transport
    app_state: dict[str, Any]
    _waiting: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        self._wait()

    def resume_writing(self) -> None:
        super().resume_writing()  # type: ignore[misc]
        if not self.transport.is_closing():
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)  # type: ignore[misc]
        self._wait_no_more()

    def shutdown(self) -> None:
        if "stopping" in self.app_state:
            self.app_state["stopping"].set()
        super().shutdown()  # type: ignore[misc]
        if self._waiting is not None:
            self.transport.abort()

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(self.patience, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
