"""Failures on request, so that tests meet them on the wire."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from starlette.responses import Response

from tiktok_accounts_gql.sandbox.alterations import Alteration
from tiktok_accounts_gql.sandbox.broken_responses import (
    ConnectionReset,
    LargeResponse,
    SlowResponse,
    TruncatedResponse,
)
from tiktok_accounts_gql.sandbox.errors import ApiError

LARGE_BYTES = 50 * 1024 * 1024
DRIP_SECONDS = 30.0
_HTML = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class FaultKind(StrEnum):
    """The kinds of faults that the sandbox's own API adds."""

    RATE_LIMITED = "rate_limited"
    UNAUTHORIZED = "unauthorized"
    SERVER_ERROR = "server_error"
    MISSING_SCOPE = "missing_scope"
    HTML = "html"
    CUT_OFF = "cut_off"
    SLOW = "slow"
    RESET = "reset"
    REPLY_LOST = "reply_lost"
    LARGE = "large"
    ALTERED = "altered"


FAULT_DESCRIPTIONS: Mapping[FaultKind, str] = {
    FaultKind.RATE_LIMITED: "429 rate_limit_exceeded, with Retry-After if given",
    FaultKind.UNAUTHORIZED: "401 access_token_invalid",
    FaultKind.SERVER_ERROR: "a status of 5xx",
    FaultKind.MISSING_SCOPE: "401 scope_not_authorized",
    FaultKind.HTML: "HTML where JSON belongs",
    FaultKind.CUT_OFF: "JSON that ends in the middle",
    FaultKind.SLOW: "carried out, but the reply drips byte by byte",
    FaultKind.RESET: "the connection is reset before anything happens",
    FaultKind.REPLY_LOST: "carried out, but the connection closes without a reply",
    FaultKind.LARGE: "a reply of 50 MB",
    FaultKind.ALTERED: "carried out, but the reply has other fields, status, headers or body",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A failure of the next `times` calls: of `path`, and of one account if `open_id` is given.

    Without `times` it lasts until it is cleared; a `share` below 1 affects that part of the calls, the same ones for the
    same `seed`. With `passthrough`, `lost`, `drip_seconds` or `alteration` the call is carried out as usual, and only its
    reply fails.
    """

    kind: str = "custom"
    path: str | None = None
    open_id: str | None = None
    times: int | None = 1
    share: float = 1
    seed: int = 0
    status: int = 500
    error: str | None = None
    body: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0
    drip_seconds: float = 0
    size: int = 0
    passthrough: bool = False
    drop: bool = False
    reset: bool = False
    lost: bool = False
    alteration: Alteration | None = None

    @property
    def is_call_executed(self) -> bool:
        return self.passthrough or self.lost or self.drip_seconds > 0 or self.alteration is not None

    def create_response(self) -> Response:
        """Return the response to a call that is not carried out. Raises ApiError."""
        if self.drop:
            return TruncatedResponse()
        if self.reset:
            return ConnectionReset()
        if self.size:
            return LargeResponse(self.size)
        if self.error is not None:
            raise ApiError(self.status, self.error, headers=self.headers)
        return Response(self.body, self.status, dict(self.headers), media_type=self.content_type)

    def alter_response(self, response: Response) -> Response:
        """Return what is sent in place of a response, be it an error."""
        if self.lost:
            return ConnectionReset(response.status_code)
        if self.alteration is not None:
            return self.alteration.apply(response)
        return SlowResponse(response, seconds=self.drip_seconds) if self.drip_seconds else response


NO_FAULT = Fault(kind="none", passthrough=True)


def create_fault(
    kind: FaultKind,
    *,
    status: int | None = None,
    seconds: float | None = None,
    retry_after: int | None = None,
    alteration: Alteration | None = None,
) -> Fault:
    faults: dict[FaultKind, Fault] = {
        FaultKind.RATE_LIMITED: Fault(
            status=429,
            error="rate_limit_exceeded",
            headers={} if retry_after is None else {"Retry-After": str(retry_after)},
        ),
        FaultKind.UNAUTHORIZED: Fault(status=401, error="access_token_invalid"),
        FaultKind.SERVER_ERROR: Fault(status=status or 500, error="internal_error"),
        FaultKind.MISSING_SCOPE: Fault(status=401, error="scope_not_authorized"),
        FaultKind.HTML: Fault(status=status or 200, body=_HTML, content_type="text/html"),
        FaultKind.CUT_OFF: Fault(status=status or 200, body=b'{"data":{"user":{"open_id":"'),
        FaultKind.SLOW: Fault(drip_seconds=seconds or DRIP_SECONDS),
        FaultKind.RESET: Fault(reset=True),
        FaultKind.REPLY_LOST: Fault(lost=True),
        FaultKind.LARGE: Fault(size=LARGE_BYTES),
        FaultKind.ALTERED: Fault(alteration=alteration or Alteration(status=status)),
    }
    return faults[kind]


@dataclass(slots=True)
class ActiveFault:
    """A fault, and how many more calls meet it; None for all until it is cleared."""

    fault: Fault
    remaining: int | None
    rng: random.Random

    def matches(self, path: str, open_id: str | None) -> bool:
        fault = self.fault
        if fault.path not in (None, path) or fault.open_id not in (None, open_id):
            return False
        return fault.share >= 1 or self.rng.random() < fault.share


class Faults:
    """The active faults, in the order in which they were added: a call meets the first one that matches."""

    def __init__(self) -> None:
        self._active: list[ActiveFault] = []

    def add(self, fault: Fault) -> None:
        rng = random.Random(fault.seed)  # noqa: S311 - meant to be foreseeable
        self._active.append(ActiveFault(fault=fault, remaining=fault.times, rng=rng))

    def clear(self) -> None:
        self._active.clear()

    def list_active(self) -> list[ActiveFault]:
        return list(self._active)

    def take(self, path: str, open_id: str | None) -> Fault:
        """Return the fault that this call meets and count it; NO_FAULT if it meets none."""
        for active in self._active:
            if active.matches(path, open_id):
                if active.remaining is not None:
                    active.remaining -= 1
                    if active.remaining == 0:
                        self._active.remove(active)
                return active.fault
        return NO_FAULT
