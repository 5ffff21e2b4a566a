"""Pages and cursors, as in Relay's Cursor Connections Specification.

A cursor is the position of a row in one ordering: base64url of `version · ordering · id · sort key`. It is not signed: a
position gives no access to anything, because every statement names the viewer. A cursor of another version or ordering is
refused by its content, and so is one that this module would have encoded differently. Nothing in it is random or secret, so
the same row has the same cursor in every request and from every server.
"""

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

_INVALID_CURSOR = "This is not a cursor."

SortKey = str | int | datetime | None
Row = TypeVar("Row")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_VERSION = b"\x02"  # 1 was signed
_ORDERING_BYTES = 4
_HEAD_BYTES = len(_VERSION) + _ORDERING_BYTES
_ID_BYTES = 16
_MAX_DIGITS = 20  # of 64 bits, with a sign


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """A request for `size` rows between two cursors: the first ones, or the last ones if `backward`.

    An empty cursor counts as none: Apollo's client sends one for the null cursor of an empty page.
    """

    size: int
    backward: bool
    after: str | None
    before: str | None

    @classmethod
    def of(cls, first: int | None, after: str | None, last: int | None, before: str | None) -> Self:
        """Return the request of a connection's four arguments. Raises BadUserInput."""
        if first is not None and last is not None:
            raise BadUserInput("Give `first` or `last`, not both.")
        size = DEFAULT_SIZE if first is None and last is None else first if last is None else last
        if not 0 <= (size or 0) <= MAX_SIZE:
            raise BadUserInput(f"`{'first' if last is None else 'last'}` is from 0 to {MAX_SIZE}.")
        return cls(size=size or 0, backward=last is not None, after=after or None, before=before or None)


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a row in an ordering."""

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
    """A node with its cursor, which is encoded when it is read: most lists are read for their nodes."""

    node: Row
    encode_cursor: Callable[[Row], str]

    @property
    def cursor(self) -> str:
        return self.encode_cursor(self.node)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """The fields of a connection. `total` counts all pages; None if it was not counted with the page."""

    edges: Sequence[Edge[Row]]
    page_info: PageInfo
    total: int | None = None

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SortKeyType:
    """The values that the sort key of an ordering can have. `max_size`: characters of a text, or bits of a number."""

    type: type[str] | type[int] | type[datetime]
    nullable: bool
    max_size: int = 64

    def accepts(self, key: SortKey) -> bool:
        if key is None:
            return self.nullable
        if key.__class__ is not self.type:
            return False
        if isinstance(key, str):
            return len(key) <= self.max_size and "\0" not in key
        return isinstance(key, datetime) or -(1 << (self.max_size - 1)) <= key < 1 << (self.max_size - 1)


class CursorCodec:
    """Encodes and decodes the cursors of one ordering."""

    def __init__(self, ordering: str, key_type: SortKeyType) -> None:
        self._ordering = blake2b(ordering.encode(), digest_size=_ORDERING_BYTES).digest()
        self._head = _VERSION + self._ordering
        self._key_type = key_type

    def encode(self, key: SortKey, id: UUID) -> str:
        return base64url.encode(self._head + id.bytes + _encode_key(key))

    def decode(self, cursor: str) -> Position:
        """Return the cursor's position. Raises BadUserInput."""
        raw = _decode_base64url(cursor)
        if raw[:1] != _VERSION:
            raise BadUserInput("This cursor comes from another version of this API. Begin again without it.")
        if raw[1:_HEAD_BYTES] != self._ordering:
            raise BadUserInput("This cursor does not belong to this list in this order.")
        raw = raw[_HEAD_BYTES:]
        try:
            position = Position(_decode_key(raw[_ID_BYTES:]), UUID(bytes=raw[:_ID_BYTES]))
        except (ValueError, OverflowError):
            raise BadUserInput(_INVALID_CURSOR) from None
        if not self._key_type.accepts(position.key) or self.encode(position.key, position.id) != cursor:
            raise BadUserInput(_INVALID_CURSOR)
        return position


def _decode_base64url(cursor: str) -> bytes:
    if not 0 < len(cursor) <= MAX_CURSOR_LENGTH:
        raise BadUserInput(_INVALID_CURSOR)
    try:
        return base64url.decode(cursor)
    except ValueError:
        raise BadUserInput(_INVALID_CURSOR) from None


def _encode_key(key: SortKey) -> bytes:
    if key is None:
        return b""
    if isinstance(key, str):
        return b"s" + key.encode()
    if isinstance(key, datetime):
        return b"t%d" % ((key - _EPOCH) // _MICROSECOND)
    return b"i%d" % key


def _decode_key(raw: bytes) -> SortKey:
    """Return the sort key. Raises ValueError and OverflowError."""
    kind, value = raw[:1], raw[1:]
    if not kind:
        return None
    if kind == b"s":
        return value.decode()
    if kind not in {b"i", b"t"} or len(value) > _MAX_DIGITS:
        raise ValueError("The sort key has an unknown type or too many digits.")
    number = int(value)
    return _EPOCH + number * _MICROSECOND if kind == b"t" else number
