"""The parameters of TikTok's redirect back to the app, and the result of handling them."""

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
from tiktok_accounts_gql.services.connection_writer import ConnectedAccount

MAX_PARAMETER_LENGTH = 4096

_ERROR_OF_STORED_CODE: dict[str, type[OperationError]] = {
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
# RFC 6749, section 4.1.2.1
_ERROR_OF_OAUTH_CODE: dict[str, type[OperationError]] = {
    "access_denied": AuthorizationDenied,
    "server_error": TikTokUnavailable,
    "temporarily_unavailable": TikTokUnavailable,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """The query of TikTok's redirect: a state, and a code or an OAuth error. An empty value counts as absent."""

    state: str = field(repr=False)
    code: str | None = field(default=None, repr=False)
    error: str | None = None

    @property
    def fingerprint(self) -> bytes:
        """Return a hash by which a repeated callback is recognized. A code and an error of the same text differ."""
        kind, text = ("error", self.error or "") if self.code is None else ("code", self.code)
        return sha256(f"{kind} {text}".encode("utf-8", "surrogatepass")).digest()

    def validate(self) -> InvalidInput | None:
        """Return what is wrong with the parameters, if anything is."""
        if bool(self.code) == bool(self.error):
            return InvalidInput("Give either `code` or `error`, as TikTok sent it.", field=("input", "code"))
        for name, value in (("state", self.state), ("code", self.code), ("error", self.error)):
            if value is not None and not 0 < len(value) <= MAX_PARAMETER_LENGTH:
                return InvalidInput(f"`{name}` has 1 to {MAX_PARAMETER_LENGTH} characters.", field=("input", name))
        return None

    def to_operation_error(self) -> OperationError:
        """Translate the OAuth error that came in place of a code."""
        return _ERROR_OF_OAUTH_CODE.get(self.error or "", AppMisconfigured)()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResult:
    """The end of a connection attempt: an account, or an error.

    `return_to` is None if the attempt is unknown, or has no URL to return to.
    """

    return_to: str | None
    connected: ConnectedAccount | None = None
    error: OperationError | None = None

    def unwrap(self) -> ConnectedAccount:
        """Return the account, or raise the error."""
        if self.connected is None:
            raise self.error or AuthorizationStateInvalid()
        return self.connected

    @classmethod
    def from_stored_code(cls, return_to: str | None, code: str) -> "AuthorizationResult":
        """Build the result of an attempt from the error code that was stored as its outcome."""
        return cls(return_to=return_to, error=_ERROR_OF_STORED_CODE[code]())
