"""Where a WebSocket's bearer token is: browsers cannot send headers with a handshake, and clients have habits.

What the payload of `connection_init` says counts before the handshake's header: a client that connects again sends a new
token there. In the payload the first of these that has a value counts, alone: `Authorization`, `headers.Authorization`,
`authToken`. Names are compared without regard to case.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SCHEME = "Bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What stands for an Authorization header, or None; `place` is where it is, or should have been."""

    place: str
    authorization: str | None


def find_credential(payload: dict[str, Any], header: str | None) -> Credential:
    """`header`: the handshake's Authorization."""
    for place, value in _places(payload):
        if value not in (None, ""):
            return Credential(place=place, authorization=value if isinstance(value, str) else None)
    if header:
        return Credential(place="Authorization header", authorization=header)
    return Credential(place="payload.Authorization", authorization=None)


def _places(payload: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "payload.Authorization", _member(payload, "authorization")
    headers = _member(payload, "headers")
    yield "payload.headers.Authorization", _member(headers, "authorization") if isinstance(headers, dict) else None
    token = _member(payload, "authtoken")
    bare = isinstance(token, str) and token and not token.lower().startswith(_SCHEME.lower())
    yield "payload.authToken", f"{_SCHEME}{token}" if bare else token


def _member(values: dict[str, Any], name: str) -> Any:
    return next((value for key, value in values.items() if key.lower() == name and value not in (None, "")), None)
