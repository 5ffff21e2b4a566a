"""Callbacks: what TikTok's redirect brings, and how it ends."""

from dataclasses import dataclass, field
from hashlib import sha256

from tiktok_accounts_gql.errors import (
    AppMisconfigured,
    AuthorizationCodeInvalid,
    AuthorizationDenied,
    AuthorizationStateInvalid,
    ConnectedElsewhere,
    InvalidInput,
    OperationError,
    ScopeMissing,
    SyncFailed,
    TikTokRateLimited,
    TikTokUnavailable,
    WrongTikTokAccount,
)
from tiktok_accounts_gql.services.connections import Connected

LONGEST_ANSWER = 4096

_MISTAKES: dict[str, type[OperationError]] = {
    kind.code.value: kind
    for kind in (
        AppMisconfigured,
        AuthorizationCodeInvalid,
        AuthorizationDenied,
        AuthorizationStateInvalid,
        ConnectedElsewhere,
        ScopeMissing,
        SyncFailed,
        TikTokRateLimited,
        TikTokUnavailable,
        WrongTikTokAccount,
    )
}
_TIKTOK_SAYS: dict[str, type[OperationError]] = {
    "access_denied": AuthorizationDenied,
    "server_error": TikTokUnavailable,
    "temporarily_unavailable": TikTokUnavailable,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """What TikTok's redirect brought: a code, or an error in its place. An empty value is an absent one."""

    state: str = field(repr=False)
    code: str | None = field(default=None, repr=False)
    error: str | None = None

    @property
    def fingerprint(self) -> bytes:
        """Of which part it is, too: a code and an error of the same text are two calls."""
        kind, text = ("error", self.error or "") if self.code is None else ("code", self.code)
        return sha256(f"{kind} {text}".encode("utf-8", "surrogatepass")).digest()

    def mistake(self) -> InvalidInput | None:
        """What is wrong with it, if anything is."""
        if bool(self.code) == bool(self.error):
            return InvalidInput("Give either `code` or `error`, as TikTok sent it.", field=("input", "code"))
        for name, value in (("state", self.state), ("code", self.code), ("error", self.error)):
            if value is not None and not 0 < len(value) <= LONGEST_ANSWER:
                return InvalidInput(f"`{name}` has 1 to {LONGEST_ANSWER} characters.", field=("input", name))
        return None

    def refusal(self) -> OperationError:
        """Why there is no code."""
        return _TIKTOK_SAYS.get(self.error or "", AppMisconfigured)()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a redirect ended: with an account, or with a mistake. `return_to` is None if nothing is known of the attempt."""

    return_to: str | None
    connected: Connected | None = None
    mistake: OperationError | None = None

    def outcome(self) -> Connected:
        """Raises the mistake."""
        if self.connected is None:
            raise self.mistake or AuthorizationStateInvalid()
        return self.connected

    @classmethod
    def as_before(cls, return_to: str | None, code: str) -> "Finished":
        """With the mistake that was stored as the outcome of an attempt."""
        return cls(return_to=return_to, mistake=_MISTAKES[code]())
