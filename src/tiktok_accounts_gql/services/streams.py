"""How many WebSockets and streams each viewer has open in this process: one viewer alone does not fill it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tiktok_accounts_gql.errors import TooManyStreams
from tiktok_accounts_gql.services.viewer import Viewer


class Streams:
    """Counts them."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    @contextmanager
    def opened(self, viewer: Viewer) -> Iterator[None]:
        """One more, until the block ends. Raises TooManyStreams."""
        if self._open[viewer.id] >= self._most:
            raise TooManyStreams
        self._open[viewer.id] += 1
        try:
            yield
        finally:
            self._open[viewer.id] -= 1
            if not self._open[viewer.id]:
                del self._open[viewer.id]
