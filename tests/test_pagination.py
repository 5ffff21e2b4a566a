"""Page requests and cursors."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_accounts_gql.errors import BadUserInput
from tiktok_accounts_gql.pagination import CursorCodec, PageRequest, Position, SortKeyType

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
KEYS: dict[str, tuple[SortKeyType, st.SearchStrategy[Any]]] = {
    "text": (
        SortKeyType(type=str, nullable=True, max_size=200),
        st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    ),
    "number": (SortKeyType(type=int, nullable=True), st.integers(-(2**63), 2**63 - 1)),
    "small number": (SortKeyType(type=int, nullable=True, max_size=32), st.integers(-(2**31), 2**31 - 1)),
    "time": (SortKeyType(type=datetime, nullable=True), st.datetimes(timezones=st.just(UTC))),
}
EVERY_KIND = pytest.mark.parametrize("kind", KEYS)
ID = uuid4()


def codec_of(kind: str) -> CursorCodec:
    return CursorCodec("accounts", KEYS[kind][0])


def build_cursor(key: bytes, *, version: bytes = b"\x02", ordering: str = "accounts", id: bytes = ID.bytes) -> str:
    """Build a cursor that this server would not encode."""
    head = version + blake2b(ordering.encode(), digest_size=4).digest()
    return base64.urlsafe_b64encode(head + id + key).rstrip(b"=").decode()


@EVERY_KIND
@given(data=st.data(), id=st.uuids())
def test_a_cursor_decodes_to_its_position(kind: str, data: st.DataObject, id: UUID) -> None:
    key = data.draw(st.none() | KEYS[kind][1].filter(lambda key: not isinstance(key, str) or len(key) <= 200))
    assert codec_of(kind).decode(codec_of(kind).encode(key, id)) == Position(key, id)


@EVERY_KIND
@given(raw=st.binary(max_size=300))
def test_an_accepted_cursor_is_one_that_this_server_would_encode(kind: str, raw: bytes) -> None:
    codec = codec_of(kind)
    for text in (build_cursor(b"", id=raw), build_cursor(raw), base64.urlsafe_b64encode(raw).decode()):
        try:
            position = codec.decode(text)
        except BadUserInput:
            continue
        assert KEYS[kind][0].accepts(position.key)
        assert codec.encode(position.key, position.id) == text


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_a_malformed_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadUserInput):
        codec_of("text").decode(text)


NO_PLACE = {
    "a number beyond 64 bits": ("number", b"i%d" % 2**63),
    "a number below 64 bits": ("number", b"i%d" % (-(2**63) - 1)),
    "a number of 400 digits": ("number", b"i" + b"9" * 400),
    "a number beyond the column's 32 bits": ("small number", b"i%d" % 2**31),
    "a number with a plus": ("number", b"i+5"),
    "a number with blanks": ("number", b"i 5 "),
    "a number with an underscore": ("number", b"i1_0"),
    "a number with a leading zero": ("number", b"i05"),
    "a negative zero": ("number", b"i-0"),
    "a number in other digits": ("number", b"i\xd9\xa5"),
    "no number": ("number", b"i"),
    "a fraction": ("number", b"i1.5"),
    "not a number": ("number", b"inan"),
    "a time after the year 9999": ("time", b"t%d" % ((datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND + 1)),
    "a time before the year 1": ("time", b"t%d" % ((datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND - 1)),
    "a time far beyond any calendar": ("time", b"t" + b"9" * 19),
    "text with NUL": ("text", b"sa\0b"),
    "text longer than its column": ("text", b"s" + b"x" * 201),
    "text that is not UTF-8": ("text", b"s\xff\xfe"),
    "half a surrogate": ("text", b"s\xed\xa0\xbd"),
    "a number where the column is text": ("text", b"i5"),
    "a time where the column is text": ("text", b"t5"),
    "text where the column is a number": ("number", b"s5"),
    "a time where the column is a number": ("number", b"t5"),
    "a number where the column is a time": ("time", b"i5"),
    "an unknown kind": ("text", b"x5"),
}


@pytest.mark.parametrize(("kind", "key"), NO_PLACE.values(), ids=NO_PLACE)
def test_a_key_that_the_column_cannot_hold_is_refused(kind: str, key: bytes) -> None:
    with pytest.raises(BadUserInput, match="not a cursor"):
        codec_of(kind).decode(build_cursor(key))


def test_a_missing_key_is_refused_for_a_column_without_nulls() -> None:
    with pytest.raises(BadUserInput, match="not a cursor"):
        CursorCodec("accounts", SortKeyType(type=str, nullable=False)).decode(build_cursor(b""))


@pytest.mark.parametrize("id", [b"", b"short", ID.bytes[:15]], ids=len)
def test_an_id_that_is_too_short_is_refused(id: bytes) -> None:
    with pytest.raises(BadUserInput, match="not a cursor"):
        codec_of("text").decode(build_cursor(b"", id=id))


@pytest.mark.parametrize(
    "spoil", [lambda text: text + "=", lambda text: text + "\n", lambda text: f" {text}", str.swapcase]
)
def test_a_cursor_in_another_encoding_is_refused(spoil: Callable[[str], str]) -> None:
    with pytest.raises(BadUserInput):
        codec_of("number").decode(spoil(codec_of("number").encode(5, ID)))


def test_bits_behind_the_last_byte_are_refused() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for key in ("a", "abc"):  # 23 and 25 bytes: the last character has bits to spare
        cursor = codec_of("text").encode(key, ID)
        spare = cursor[:-1] + alphabet[alphabet.index(cursor[-1]) ^ 1]
        with pytest.raises(BadUserInput, match="not a cursor"):
            codec_of("text").decode(spare)


@pytest.mark.parametrize("version", [b"\x00", b"\x01", b"\x03", b"\xff"], ids=bytes.hex)
def test_a_cursor_of_another_version_says_so(version: bytes) -> None:
    """Version 1 was signed: `version · tag of 10 bytes · id · key`."""
    for text in (build_cursor(b"i5", version=version), build_cursor(b"i5", version=version + bytes(10))):
        with pytest.raises(BadUserInput, match="comes from another version"):
            codec_of("number").decode(text)


def test_a_cursor_belongs_to_its_ordering() -> None:
    cursor = CursorCodec("accounts CREATED_AT DESC", KEYS["time"][0]).encode(datetime(2026, 1, 1, tzinfo=UTC), ID)
    for other in ("accounts CREATED_AT ASC", "audit events", ""):
        with pytest.raises(BadUserInput, match="does not belong"):
            CursorCodec(other, KEYS["time"][0]).decode(cursor)


def test_every_server_encodes_the_same_cursor() -> None:
    assert codec_of("number").encode(5, UUID(int=7)) == "Aj5OlZoAAAAAAAAAAAAAAAAAAAAHaTU"


@pytest.mark.parametrize(
    ("arguments", "size", "backward"),
    [
        ({}, 20, False),
        ({"first": 0}, 0, False),
        ({"first": 50}, 50, False),
        ({"last": 0}, 0, True),
        ({"last": 7}, 7, True),
    ],
)
def test_a_page_has_twenty_by_default_and_from_none_to_fifty(
    arguments: dict[str, Any], size: int, backward: bool
) -> None:
    page = PageRequest.of(**{"first": None, "after": None, "last": None, "before": None, **arguments})
    assert (page.size, page.backward) == (size, backward)


@pytest.mark.parametrize(
    "arguments", [{"first": -1}, {"first": 51}, {"last": -1}, {"last": 51}, {"first": 1, "last": 1}]
)
def test_other_sizes_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(BadUserInput):
        PageRequest.of(**{"first": None, "after": None, "last": None, "before": None, **arguments})
