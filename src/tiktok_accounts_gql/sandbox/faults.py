"""Failures on request, so that tests meet them on the wire."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from starlette.responses import Response

from tiktok_accounts_gql.sandbox.altered import Alteration
from tiktok_accounts_gql.sandbox.broken import CutOff, Drip, Endless, Reset
from tiktok_accounts_gql.sandbox.refusals import Refused

LARGE_BYTES = 50 * 1024 * 1024
DRIP_SECONDS = 30.0
_HTML = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class Kind(StrEnum):
    """What goes wrong."""

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


SAYS: Mapping[Kind, str] = {
    Kind.RATE_LIMITED: "429 rate_limit_exceeded, with Retry-After if given",
    Kind.UNAUTHORIZED: "401 access_token_invalid",
    Kind.SERVER_ERROR: "a status of 5xx",
    Kind.MISSING_SCOPE: "401 scope_not_authorized",
    Kind.HTML: "HTML where JSON belongs",
    Kind.CUT_OFF: "JSON that ends in the middle",
    Kind.SLOW: "carried out, but the reply drips byte by byte",
    Kind.RESET: "the connection is reset before anything happens",
    Kind.REPLY_LOST: "carried out, but the connection closes without a reply",
    Kind.LARGE: "a reply of 50 MB",
    Kind.ALTERED: "carried out, but the reply has other fields, status, headers or body",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The next `times` calls are answered like this: of `path`, of one account if `open_id` is given.

    Without `times` it lasts until it is cleared; a `share` below 1 hits that part of the calls, the same ones for the
    same `seed`. With `passthrough`, `lost`, `drip_seconds` or `alteration` the call is carried out as
    ever: what fails is its reply.
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
    def carried_out(self) -> bool:
        return self.passthrough or self.lost or self.drip_seconds > 0 or self.alteration is not None

    def reply(self) -> Response:
        """In place of the call's own. Raises Refused."""
        if self.drop:
            return CutOff()
        if self.reset:
            return Reset()
        if self.size:
            return Endless(self.size)
        if self.error is not None:
            raise Refused(self.status, self.error, headers=self.headers)
        return Response(self.body, self.status, dict(self.headers), media_type=self.content_type)

    def spoil(self, response: Response) -> Response:
        """What becomes of the reply in the end, be it an error."""
        if self.lost:
            return Reset(response.status_code)
        if self.alteration is not None:
            return self.alteration.apply(response)
        return Drip(response, seconds=self.drip_seconds) if self.drip_seconds else response


NONE = Fault(kind="none", passthrough=True)


def fault_of(
    kind: Kind,
    *,
    status: int | None = None,
    seconds: float | None = None,
    retry_after: int | None = None,
    alteration: Alteration | None = None,
) -> Fault:
    """One of each kind, for all calls until it is cleared."""
    about: dict[Kind, Fault] = {
        Kind.RATE_LIMITED: Fault(
            status=429,
            error="rate_limit_exceeded",
            headers={} if retry_after is None else {"Retry-After": str(retry_after)},
        ),
        Kind.UNAUTHORIZED: Fault(status=401, error="access_token_invalid"),
        Kind.SERVER_ERROR: Fault(status=status or 500, error="internal_error"),
        Kind.MISSING_SCOPE: Fault(status=401, error="scope_not_authorized"),
        Kind.HTML: Fault(status=status or 200, body=_HTML, content_type="text/html"),
        Kind.CUT_OFF: Fault(status=status or 200, body=b'{"data":{"user":{"open_id":"'),
        Kind.SLOW: Fault(drip_seconds=seconds or DRIP_SECONDS),
        Kind.RESET: Fault(reset=True),
        Kind.REPLY_LOST: Fault(lost=True),
        Kind.LARGE: Fault(size=LARGE_BYTES),
        Kind.ALTERED: Fault(alteration=alteration or Alteration(status=status)),
    }
    return about[kind]


@dataclass(slots=True)
class Waiting:
    """A fault with what is left of it."""

    fault: Fault
    left: int | None
    chance: random.Random

    def hits(self, path: str, open_id: str | None) -> bool:
        fault = self.fault
        about = fault.path in (None, path) and fault.open_id in (None, open_id)
        return about and (fault.share >= 1 or self.chance.random() < fault.share)


class Faults:
    """Waiting to happen; the one that was added first comes first."""

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []

    def add(self, fault: Fault) -> None:
        chance = random.Random(fault.seed)  # noqa: S311 - meant to be foreseeable
        self._waiting.append(Waiting(fault=fault, left=fault.times, chance=chance))

    def clear(self) -> None:
        self._waiting.clear()

    def list_waiting(self) -> list[Waiting]:
        return list(self._waiting)

    def take(self, path: str, open_id: str | None) -> Fault:
        """The one that this call meets; NONE if it meets none."""
        for waiting in self._waiting:
            if waiting.hits(path, open_id):
                self._use(waiting)
                return waiting.fault
        return NONE

    def _use(self, waiting: Waiting) -> None:
        if waiting.left is None:
            return
        waiting.left -= 1
        if waiting.left == 0:
            self._waiting.remove(waiting)
