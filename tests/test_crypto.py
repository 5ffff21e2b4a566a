"""Sealing and opening of secrets."""

import os
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_accounts_gql.crypto import SealBroken, Sealer, SecretLocation

KEY, OTHER_KEY = os.urandom(32), os.urandom(32)
LOCATION = SecretLocation(table="token_pairs", column="access_token", row=UUID(int=1))


@given(st.text(st.characters(codec="utf-8")))
def test_a_sealed_value_opens_and_does_not_contain_the_secret(secret: str) -> None:
    sealed = Sealer([KEY]).seal(secret, LOCATION)
    assert Sealer([KEY]).open(sealed, LOCATION) == secret
    assert len(secret) < 4 or secret.encode() not in sealed


@pytest.mark.parametrize(
    "elsewhere",
    [
        SecretLocation(table="owed_revocations", column="access_token", row=LOCATION.row),
        SecretLocation(table="token_pairs", column="refresh_token", row=LOCATION.row),
        SecretLocation(table="token_pairs", column="access_token", row=uuid4()),
    ],
)
def test_a_value_moved_elsewhere_does_not_open(elsewhere: SecretLocation) -> None:
    sealer = Sealer([KEY])
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal("secret", LOCATION), elsewhere)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_value_does_not_open(index: int, change: int) -> None:
    sealed = bytearray(Sealer([KEY]).seal("secret", LOCATION))
    sealed[index % len(sealed)] ^= change
    with pytest.raises(SealBroken):
        Sealer([KEY]).open(bytes(sealed), LOCATION)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(16)])
def test_a_value_that_was_never_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        Sealer([KEY]).open(sealed, LOCATION)


def test_the_first_key_seals_and_all_of_them_open() -> None:
    before = Sealer([KEY]).seal("secret", LOCATION)
    rotating = Sealer([OTHER_KEY, KEY])
    assert rotating.open(before, LOCATION) == "secret"
    after = rotating.seal("secret", LOCATION)
    assert Sealer([OTHER_KEY]).open(after, LOCATION) == "secret"
    with pytest.raises(SealBroken):
        Sealer([KEY]).open(after, LOCATION)


@pytest.mark.parametrize("keys", [[], [b"short"], [KEY, b"x" * 31]])
def test_weak_keys_are_refused(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(keys)
