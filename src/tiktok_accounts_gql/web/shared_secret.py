"""Verifies tokens with a shared secret (HS256)."""

import base64

import jwt
from pydantic import SecretStr

MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2
ALGORITHM = "HS256"


class SharedSecretKeys:
    """A set of one key, for every key id."""

    algorithms = frozenset({ALGORITHM})

    def __init__(self, secret: SecretStr) -> None:
        self._key = to_jwk(secret)

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        del key_id, algorithm
        return self._key

    async def aclose(self) -> None:
        return


def to_jwk(secret: SecretStr) -> jwt.PyJWK:
    """Return the secret as a key. Raises ValueError for a secret that is weak, or a key of a key pair."""
    value = secret.get_secret_value().encode()
    if len(value) < MIN_SECRET_BYTES:
        raise ValueError(f"The secret is weak: at least {MIN_SECRET_BYTES} bytes are needed (RFC 7518, section 3.2).")
    key = jwt.PyJWK({"kty": "oct", "alg": ALGORITHM, "k": base64.urlsafe_b64encode(value).decode()})
    try:
        key.Algorithm.prepare_key(value)
    except jwt.InvalidKeyError:
        raise ValueError("The secret is a key of a key pair or a certificate, and not a secret.") from None
    return key
