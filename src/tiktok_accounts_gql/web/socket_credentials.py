"""Finds the bearer token of a WebSocket. Browsers cannot send headers with a handshake, so clients send it in the payload.

The payload of `connection_init` comes before the handshake's header, because a client that connects again sends a new token
there. In the payload the first of these that has a value is used: `Authorization`, `headers.Authorization`, `authToken`. Names
are compared without regard to case.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SCHEME = "Bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """The equivalent of an Authorization header, or None. `place`: where it is, or was expected, for error messages."""

    place: str
    authorization: str | None


def find_credential(payload: dict[str, Any], header: str | None) -> Credential:
    """Return the credential. `header`: the Authorization of the handshake."""
    for place, value in _list_candidates(payload):
        if value not in (None, ""):
            return Credential(place=place, authorization=value if isinstance(value, str) else None)
    if header:
        return Credential(place="Authorization header", authorization=header)
    return Credential(place="payload.Authorization", authorization=None)


def _list_candidates(payload: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "payload.Authorization", _get_member(payload, "authorization")
    headers = _get_member(payload, "headers")
    yield "payload.headers.Authorization", _get_member(headers, "authorization") if isinstance(headers, dict) else None
    token = _get_member(payload, "authtoken")
    is_bare = isinstance(token, str) and token and not token.lower().startswith(_SCHEME.lower())
    yield "payload.authToken", f"{_SCHEME}{token}" if is_bare else token


def _get_member(values: dict[str, Any], name: str) -> Any:
    return next((value for key, value in values.items() if key.lower() == name and value not in (None, "")), None)
