"""Disconnects clients that do not read what they are sent.

Uvicorn would wait for such a client for ever, because closing a connection sends the rest of the buffer first.
"""

import asyncio
from typing import Any, ClassVar


class WriteTimeout:
    """A mixin for protocols of uvicorn: aborts the connection if its write buffer stays full for too long."""

    write_timeout_seconds: ClassVar[float] = 30
    transport: asyncio.Transport
    app_state: dict[str, Any]
    _write_timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        self._start_write_timer()

    def resume_writing(self) -> None:
        super().resume_writing()  # type: ignore[misc]
        if not self.transport.is_closing():
            self._cancel_write_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)  # type: ignore[misc]
        self._cancel_write_timer()

    def shutdown(self) -> None:
        if "stopping" in self.app_state:
            self.app_state["stopping"].set()
        super().shutdown()  # type: ignore[misc]
        if self._write_timer is not None:
            self.transport.abort()

    def _start_write_timer(self) -> None:
        if self._write_timer is None:
            loop = asyncio.get_running_loop()
            self._write_timer = loop.call_later(self.write_timeout_seconds, self.transport.abort)

    def _cancel_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
