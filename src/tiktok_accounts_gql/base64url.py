"""Base64url without padding (RFC 4648, section 5), in the canonical form only."""

import base64
import binascii

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def encode(raw: bytes) -> str:
    # `base64.urlsafe_b64encode` takes twice as long, and every row of a response has two or three of these.
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes. Raises ValueError, also for a text that `encode` would not have returned."""
    raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    if encode(raw) != text:
        raise ValueError("This is not canonical base64url.")
    return raw
