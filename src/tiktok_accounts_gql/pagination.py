"""Pages and cursors, as in Relay's Cursor Connections Specification.

A cursor is the place of a row in one ordering: base64url of `version · tag · id · sort key`. The tag is a keyed BLAKE2b
over viewer, ordering and place: a cursor that was made up, altered, taken from another viewer or belongs to another
ordering is refused. Nothing in it is random, so the same row has the same cursor in every request.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Generic, Self, TypeVar
from uuid import UUID

from tiktok_accounts_gql import base64url
from tiktok_accounts_gql.errors import BadUserInput

DEFAULT_SIZE = 20
MAX_SIZE = 50
MAX_CURSOR_LENGTH = 2000

SortKey = str | int | datetime | None
Row = TypeVar("Row")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_VERSION = b"\x01"
_TAG_BYTES = 10
_HEAD_BYTES = 1 + _TAG_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page: `size` rows after and before these cursors, from the beginning or from the end.

    An empty cursor is none: Apollo's client makes one of the null cursor of an empty page.
    """

    size: int
    backward: bool
    after: str | None
    before: str | None

    @classmethod
    def of(cls, first: int | None, after: str | None, last: int | None, before: str | None) -> Self:
        """Raises BadUserInput."""
        if first is not None and last is not None:
            raise BadUserInput("Give `first` or `last`, not both.")
        size = DEFAULT_SIZE if first is None and last is None else first if last is None else last
        if not 0 <= (size or 0) <= MAX_SIZE:
            raise BadUserInput(f"`{'first' if last is None else 'last'}` is from 0 to {MAX_SIZE}.")
        return cls(size=size or 0, backward=last is not None, after=after or None, before=before or None)


@dataclass(frozen=True, slots=True)
class Position:
    """The place of a row in an ordering."""

    key: SortKey
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@dataclass(slots=True)  # frozen ones take four times as long to make, and pages have many
class Edge(Generic[Row]):
    """Its cursor is made when somebody asks for it: most lists are read for their nodes."""

    node: Row
    place: Callable[[Row], str]

    @property
    def cursor(self) -> str:
        return self.place(self.node)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """What a connection shows."""

    edges: Sequence[Edge[Row]]
    page_info: PageInfo
    total: int | None = None  # over all pages, if it was counted along

    @classmethod
    def of(cls, edges: Sequence[Edge[Row]], *, has_next: bool, has_previous: bool, total: int | None = None) -> Self:
        return cls(
            edges,
            PageInfo(
                has_next_page=has_next,
                has_previous_page=has_previous,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
            total,
        )


class Cursors:
    """The cursors of one viewer in one ordering."""

    def __init__(self, key: bytes, viewer_id: str, ordering: str) -> None:
        self._tagger = blake2b(f"{ordering}\0{viewer_id}".encode(), key=key, digest_size=_TAG_BYTES)

    def encode(self, key: SortKey, id: UUID) -> str:
        place = id.bytes + _key_bytes(key)
        return base64url.encode(_VERSION + self._tag(place) + place)

    def decode(self, cursor: str) -> Position:
        """Raises BadUserInput."""
        raw = _raw(cursor)
        if raw[:1] != _VERSION:
            raise BadUserInput("This cursor comes from another version of this API. Begin again without it.")
        tag, place = raw[1:_HEAD_BYTES], raw[_HEAD_BYTES:]
        if not hmac.compare_digest(tag, self._tag(place)):
            raise BadUserInput("This cursor does not belong to this list in this order.")
        return Position(_key_value(place[16:]), UUID(bytes=place[:16]))

    def _tag(self, place: bytes) -> bytes:
        tagger = self._tagger.copy()
        tagger.update(place)
        return tagger.digest()


def _raw(cursor: str) -> bytes:
    if not 0 < len(cursor) <= MAX_CURSOR_LENGTH:
        raise BadUserInput("This is not a cursor.")
    try:
        return base64url.decode(cursor)
    except ValueError:
        raise BadUserInput("This is not a cursor.") from None


def _key_bytes(key: SortKey) -> bytes:
    if key is None:
        return b""
    if isinstance(key, str):
        return b"s" + key.encode()
    if isinstance(key, datetime):
        return b"t%d" % ((key - _EPOCH) // _MICROSECOND)
    return b"i%d" % key


def _key_value(raw: bytes) -> SortKey:
    kind, value = raw[:1], raw[1:].decode()
    if not kind:
        return None
    if kind == b"t":
        return _EPOCH + int(value) * _MICROSECOND
    return value if kind == b"s" else int(value)
