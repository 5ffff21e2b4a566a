"""The identity in the claims of a verified token."""

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MAX_SUBJECT_LENGTH = 255
_LAST_SECOND = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()
_TIME_CLAIMS = ("exp", "nbf", "iat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The user of a token, and until when.

    `expires_at` is the token's `exp`. `valid_until` is when this server stops accepting it, the leeway later: requests, sockets
    and streams all end then, or clients would connect again and again with a token that one of them accepts. `name`: what
    people know the user by, or None if the token has no such claim.
    """

    viewer_id: str
    name: str | None
    expires_at: datetime
    valid_until: datetime


def find_identity(claims: dict[str, Any], leeway_seconds: float) -> Identity | None:
    """Return the identity, or None for claims of a wrong type. PyJWT has verified that `sub` and `exp` exist."""
    # RFC 7519 demands numbers; PyJWT would also accept "99" and true.
    is_numeric = all(type(claims.get(name, 0)) in (int, float) for name in _TIME_CLAIMS)
    if not is_numeric or not is_viewer_id(claims["sub"]):
        return None
    expires_at = min(claims["exp"], _LAST_SECOND)
    valid_until = min(expires_at // 1 + leeway_seconds, _LAST_SECOND)  # PyJWT compares whole seconds
    return Identity(
        viewer_id=claims["sub"],
        name=_find_name(claims),
        expires_at=datetime.fromtimestamp(expires_at, tz=UTC),
        valid_until=datetime.fromtimestamp(valid_until, tz=UTC),
    )


def is_viewer_id(subject: str) -> bool:
    """Return whether a subject can be stored: no control characters (Cc, including NUL) and no surrogates (Cs)."""
    is_short = 0 < len(subject) <= MAX_SUBJECT_LENGTH
    return is_short and not any(unicodedata.category(character) in ("Cc", "Cs") for character in subject)


def _find_name(claims: dict[str, Any]) -> str | None:
    """Return a claim of OpenID Connect that users cannot choose freely: not `name`, which may be that of someone else."""
    is_unverified = claims.get("email_verified") is False
    for claim in ("preferred_username",) if is_unverified else ("email", "preferred_username"):
        text = claims.get(claim)
        # `isprintable` excludes characters that hide or reverse others, so the text displays as it is written.
        if isinstance(text, str) and 0 < len(text) <= MAX_SUBJECT_LENGTH and text.isprintable():
            return text
    return None
