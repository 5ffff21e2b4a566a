"""How TikTok fails, as far as it makes a difference to us.

```
TikTokError
├── RateLimited · Unavailable           pass by themselves
│   └── CallDeferred
│       └── CircuitOpen · QuotaExhausted · RefreshPending
├── UnreadableReply · WrongAccount      TikTok is there; what it says of this account is of no use
├── AccessTokenInvalid                  refresh once, try once more
├── InvalidGrant                        the code or the refresh token is worthless
├── ScopeNotGranted                     the user did not grant it
└── AppMisconfigured · RequestRefused   the operator's mistake, or ours
```

Messages are fit for people and hold nothing of what was sent; `log_id` is what TikTok's support asks for.
"""

from pydantic import SecretStr


class TikTokError(Exception):
    """The base of all. `code`: TikTok's own, for the log."""

    code: str | None = None
    message = "TikTok did not do what it was asked."

    def __init__(self, message: str | None = None, *, ambiguous: bool = False, log_id: str | None = None) -> None:
        """`ambiguous`: the request may have been carried out all the same."""
        self.message = message or type(self).message
        super().__init__(self.message)
        self.log_id = log_id
        self.ambiguous = ambiguous
        self.retry_after: float | None = None


class RateLimited(TikTokError):
    message = "TikTok asks for fewer requests."

    def __init__(self, *, retry_after: float | None = None, log_id: str | None = None) -> None:
        super().__init__(log_id=log_id)
        self.retry_after = retry_after


class Unavailable(TikTokError):
    message = "TikTok does not answer, or not as documented."

    def __init__(
        self,
        message: str | None = None,
        *,
        ambiguous: bool = True,
        retry_after: float | None = None,
        log_id: str | None = None,
    ) -> None:
        """`ambiguous`: the request may have been carried out all the same."""
        super().__init__(message, ambiguous=ambiguous, log_id=log_id)
        self.retry_after = retry_after


class UnreadableReply(TikTokError):
    """`refresh_token`: a new one that could be read, if there was one."""

    message = "TikTok's reply cannot be read."
    refresh_token: SecretStr | None = None

    def __init__(self, message: str | None = None, *, log_id: str | None = None) -> None:
        """Always ambiguous: tokens may have rotated although the reply that brought them is lost."""
        super().__init__(message, ambiguous=True, log_id=log_id)


class WrongAccount(TikTokError):
    message = "TikTok answered for another account."

    def __init__(self, message: str | None = None, *, log_id: str | None = None) -> None:
        """Always ambiguous: TikTok may have done for this account what it answered for another one."""
        super().__init__(message, ambiguous=True, log_id=log_id)


class CallDeferred(Unavailable):
    """The call has to be made later. This says nothing about the account."""

    message = "TikTok was not asked, or only to find out whether it is down."


class CircuitOpen(CallDeferred):
    """The circuit breaker is open: TikTok is considered down."""


class QuotaExhausted(CallDeferred):
    message = "Our own quota has no slot soon enough: TikTok was not asked."


class RefreshPending(CallDeferred):
    """Somebody else's refresh, whose outcome is not known yet. It says nothing about TikTok either."""

    message = "The access token is being renewed elsewhere: TikTok was not asked."

    def __init__(self, *, retry_after: float | None = None) -> None:
        super().__init__(ambiguous=False, retry_after=retry_after)


class AccessTokenInvalid(TikTokError):
    message = "TikTok does not accept the access token."


class InvalidGrant(TikTokError):
    message = "TikTok does not accept the authorization code or refresh token."


class ScopeNotGranted(TikTokError):
    message = "The user did not grant what this needs."


class AppMisconfigured(TikTokError):
    message = "TikTok does not accept the client key or its secret."


class RequestRefused(TikTokError):
    message = "TikTok refuses the request as it was made."
