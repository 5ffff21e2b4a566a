"""A limit of open WebSockets and streams per viewer and process, so that one viewer cannot use up a process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tiktok_accounts_gql.errors import TooManyStreams
from tiktok_accounts_gql.services.viewer import Viewer


class StreamLimiter:
    """Counts the open streams of each viewer."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._open_streams: Counter[str] = Counter()

    @contextmanager
    def acquire(self, viewer: Viewer) -> Iterator[None]:
        """Count one more stream until the block ends. Raises TooManyStreams."""
        if self._open_streams[viewer.id] >= self._limit:
            raise TooManyStreams
        self._open_streams[viewer.id] += 1
        try:
            yield
        finally:
            self._open_streams[viewer.id] -= 1
            if not self._open_streams[viewer.id]:
                del self._open_streams[viewer.id]
