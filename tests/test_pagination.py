"""Page requests and cursors."""

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_accounts_gql.errors import BadUserInput
from tiktok_accounts_gql.pagination import Cursors, PageRequest, Position

KEY = bytes(32)
POSITIONS = st.builds(
    Position,
    st.none()
    | st.text(st.characters(codec="utf-8"))
    | st.integers(-(2**63), 2**63 - 1)
    | st.datetimes(timezones=st.just(UTC)),
    st.uuids(),
)


@given(POSITIONS)
def test_a_cursor_leads_back_to_its_place(position: Position) -> None:
    cursors = Cursors(KEY, "ann", "accounts")
    assert cursors.decode(cursors.encode(position.key, position.id)) == position


@given(POSITIONS, st.integers(0), st.integers(0, 63))
def test_a_changed_cursor_is_refused(position: Position, place: int, other: int) -> None:
    cursors = Cursors(KEY, "ann", "accounts")
    cursor = cursors.encode(position.key, position.id)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = place % len(cursor)
    changed = cursor[:at] + alphabet[other] + cursor[at + 1 :]
    if changed != cursor:
        with pytest.raises(BadUserInput):
            cursors.decode(changed)


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadUserInput):
        Cursors(KEY, "ann", "accounts").decode(text)


def test_a_cursor_of_another_version_says_so() -> None:
    cursors = Cursors(KEY, "ann", "accounts")
    raw = base64.urlsafe_b64decode(cursors.encode(1, uuid4()) + "==")
    newer = base64.urlsafe_b64encode(b"\x02" + raw[1:]).rstrip(b"=").decode()
    with pytest.raises(BadUserInput, match="another version"):
        cursors.decode(newer)


def test_a_cursor_belongs_to_viewer_ordering_and_key() -> None:
    position = Position(datetime(2026, 1, 1, tzinfo=UTC), uuid4())
    cursor = Cursors(KEY, "ann", "accounts").encode(position.key, position.id)
    for foreign in (
        Cursors(KEY, "bob", "accounts"),
        Cursors(KEY, "ann", "audit"),
        Cursors(bytes([1] * 32), "ann", "accounts"),
    ):
        with pytest.raises(BadUserInput, match="does not belong"):
            foreign.decode(cursor)


@pytest.mark.parametrize(
    ("asked", "size", "backward"),
    [
        ({}, 20, False),
        ({"first": 0}, 0, False),
        ({"first": 50}, 50, False),
        ({"last": 0}, 0, True),
        ({"last": 7}, 7, True),
    ],
)
def test_a_page_has_twenty_by_default_and_from_none_to_fifty(asked: dict[str, Any], size: int, backward: bool) -> None:
    page = PageRequest.of(**{"first": None, "after": None, "last": None, "before": None, **asked})
    assert (page.size, page.backward) == (size, backward)


@pytest.mark.parametrize("asked", [{"first": -1}, {"first": 51}, {"last": -1}, {"last": 51}, {"first": 1, "last": 1}])
def test_other_sizes_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(BadUserInput):
        PageRequest.of(**{"first": None, "after": None, "last": None, "before": None, **asked})
