"""Base64url without padding (RFC 4648, section 5), where a text has one way to be written."""

import base64
import binascii

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def encode(raw: bytes) -> str:
    # `base64.urlsafe_b64encode` takes twice the time, and every row that is shown has two or three of these.
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode()


def decode(text: str) -> bytes:
    """Raises ValueError, also for what `encode` would have written otherwise."""
    raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    if encode(raw) != text:
        raise ValueError("This is not base64url as it is written here.")
    return raw
