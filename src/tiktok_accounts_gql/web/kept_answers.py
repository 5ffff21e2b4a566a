"""Answers in memory: bounded in number of bytes, and in time."""

import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tiktok_accounts_gql.db.change_versions import ChangeVersion
from tiktok_accounts_gql.services.viewer import AuditRecord

# What an entry takes besides its body and its viewer's id, and each read that was noted; a test measures it. In it is room
# for the dictionary to grow.
_ENTRY_BYTES = 640
_NOTED_BYTES = 256
_LARGEST = 16  # an answer that takes more than this part of the memory would displace too many others


class Key(NamedTuple):
    """Whose answer, to which request."""

    viewer_id: str
    asked: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """`mark` is of before the reading, as is the time from which it expires; `noted` is what the audit recorded of it.

    `points`: what the operation costs.
    """

    body: bytes
    points: int
    mark: ChangeVersion
    noted: tuple[AuditRecord, ...]
    expires_at: float

    @property
    def weight(self) -> int:
        return sys.getsizeof(self.body) + _ENTRY_BYTES + _NOTED_BYTES * len(self.noted)


class KeptAnswers:
    """Those that were asked for lately."""

    def __init__(self, *, memory: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._memory = memory
        self._monotonic = monotonic
        self._kept: OrderedDict[Key, KeptAnswer] = OrderedDict()
        self._used = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def used(self) -> int:
        """Bytes."""
        return self._used

    def now(self) -> float:
        return self._monotonic()

    def find(self, key: Key, mark: ChangeVersion) -> KeptAnswer | None:
        """What is old is let go."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found.mark != mark or found.expires_at <= self._monotonic():
            self._let_go(key)
            return None
        self._kept.move_to_end(key)
        return found

    def keep(self, key: Key, answer: KeptAnswer) -> bool:
        """Whether it is kept; it takes the place of those that nobody has asked for the longest."""
        weight = _weight(key, answer)
        if weight > self._memory // _LARGEST:
            return False
        if key in self._kept:
            self._let_go(key)
        self._kept[key] = answer
        self._used += weight
        while self._used > self._memory:
            self._let_go(next(iter(self._kept)))
        return True

    def _let_go(self, key: Key) -> None:
        self._used -= _weight(key, self._kept.pop(key))


def _weight(key: Key, answer: KeptAnswer) -> int:
    return sys.getsizeof(key.viewer_id) + answer.weight
