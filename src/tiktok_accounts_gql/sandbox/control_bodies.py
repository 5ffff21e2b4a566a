"""Bodies and queries of the sandbox's own API. Unknown fields are refused."""

import base64
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tiktok_accounts_gql.sandbox.alterations import Alteration
from tiktok_accounts_gql.sandbox.faults import Fault, FaultKind, create_fault
from tiktok_accounts_gql.sandbox.webhooks import RemovalReason

RemovableScope = Literal["user.info.profile", "user.info.stats"]


def split_at_commas(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


def check_base64(value: str) -> str:
    base64.b64decode(value, validate=True)  # raises a ValueError
    return value


def check_header(value: str) -> str:
    value.encode("latin-1")  # raises a ValueError
    if any(char in value for char in "\r\n\0"):
        raise ValueError("A header is one line.")
    return value


Header = Annotated[str, AfterValidator(check_header)]


class Body(BaseModel):
    """The base of all bodies."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NewFault(Body):
    """A fault to add: of all calls until it is cleared, without `path`, `open_id` and `times`.

    `fields` and all after it are for the kind `altered`.
    """

    kind: FaultKind
    path: Literal["/v2/oauth/token/", "/v2/oauth/revoke/", "/v2/user/info/"] | None = None
    open_id: str | None = None
    times: int | None = Field(None, ge=1)
    share: float = Field(1, gt=0, le=1)
    seed: int = 0
    status: int | None = Field(None, ge=200, le=599)
    retry_after: int | None = Field(None, ge=0)
    seconds: float | None = Field(None, gt=0, le=600)
    fields: dict[str, Any] = {}
    raw: dict[str, str] = {}
    remove: tuple[str, ...] = ()
    headers: dict[Header, Header] = {}
    body: str | None = None
    body_base64: Annotated[str, AfterValidator(check_base64)] | None = None

    def to_fault(self) -> Fault:
        fields_of_alteration = {"fields", "raw", "remove", "headers", "body", "body_base64", "status"}
        fault = create_fault(
            self.kind,
            status=self.status,
            seconds=self.seconds,
            retry_after=self.retry_after,
            alteration=Alteration(**self.model_dump(include=fields_of_alteration)),
        )
        target = self.model_dump(include={"path", "open_id", "times", "share", "seed"})
        return replace(fault, kind=self.kind.value, **target)


class NewRemoval(Body):
    """A webhook to send, `repeat` times, as if created `seconds_ago`. With `keep_grant` the grant stays valid."""

    open_id: str = Field(min_length=1)
    reason: RemovalReason = RemovalReason.DISCONNECTED_BY_USER
    seconds_ago: int = Field(0, ge=0)
    keep_grant: bool = False
    repeat: int = Field(1, ge=1, le=100)


class RemovedScopes(Body):
    scopes: Annotated[tuple[RemovableScope, ...], BeforeValidator(split_at_commas)] = Field(min_length=1)


class CallFilter(Body):
    """A query for calls. `since`: in seconds since 1970. `limit`: only so many, the newest; -1 for all."""

    path: str | None = None
    open_id: str | None = None
    kind: str | None = None
    since: float = 0
    limit: int = Field(-1, ge=-1)
