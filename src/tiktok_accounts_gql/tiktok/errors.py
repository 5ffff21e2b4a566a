"""Errors of TikTok's API, told apart by what the caller has to do.

```
TikTokError
├── RateLimited · Unavailable           temporary
│   └── CallDeferred
│       └── CircuitOpen · QuotaExhausted · RefreshPending
├── UnreadableReply · WrongAccount      TikTok answers, but not usefully about this account
├── AccessTokenInvalid                  refresh once, try once more
├── InvalidGrant                        the code or the refresh token is invalid
├── ScopeNotGranted                     the user did not grant it
└── InvalidClient · RequestRefused      the operator's error, or a bug
```

Messages are for users and hold nothing of the request; `log_id` is what TikTok's support asks for.
"""

from pydantic import SecretStr


class TikTokError(Exception):
    """The base of all errors. `code`: TikTok's own, for the log."""

    code: str | None = None
    message = "TikTok did not do what it was asked."

    def __init__(self, message: str | None = None, *, ambiguous: bool = False, log_id: str | None = None) -> None:
        """Create an error. `ambiguous`: TikTok may have carried out the request."""
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
        """Create an error. `ambiguous`: TikTok may have carried out the request."""
        super().__init__(message, ambiguous=ambiguous, log_id=log_id)
        self.retry_after = retry_after


class UnreadableReply(TikTokError):
    """A reply that cannot be parsed. `refresh_token`: a new one in it, if that could be parsed."""

    message = "TikTok's reply cannot be read."
    refresh_token: SecretStr | None = None

    def __init__(self, message: str | None = None, *, log_id: str | None = None) -> None:
        """Create an error that is always ambiguous: tokens may have rotated, and the reply with them is lost."""
        super().__init__(message, ambiguous=True, log_id=log_id)


class WrongAccount(TikTokError):
    message = "TikTok answered for another account."

    def __init__(self, message: str | None = None, *, log_id: str | None = None) -> None:
        """Create an error that is always ambiguous: TikTok may have carried out the request for this account too."""
        super().__init__(message, ambiguous=True, log_id=log_id)


class CallDeferred(Unavailable):
    """The request was not sent, or only to test whether TikTok is back: it says nothing about the account."""

    message = "TikTok was not asked, or only to find out whether it is down."


class CircuitOpen(CallDeferred):
    """The circuit breaker is open, or the request was one that tests whether TikTok is back."""

    message = "TikTok is considered down: it was not asked, or only to find out whether it is back."


class QuotaExhausted(CallDeferred):
    message = "Our own quota has no slot soon enough: TikTok was not asked."


class RefreshPending(CallDeferred):
    """Another process refreshes the token. It says nothing about TikTok either."""

    message = "The access token is being renewed elsewhere: TikTok was not asked."

    def __init__(self, *, retry_after: float | None = None) -> None:
        super().__init__(ambiguous=False, retry_after=retry_after)


class AccessTokenInvalid(TikTokError):
    message = "TikTok does not accept the access token."


class InvalidGrant(TikTokError):
    message = "TikTok does not accept the authorization code or refresh token."


class ScopeNotGranted(TikTokError):
    message = "The user did not grant what this needs."


class InvalidClient(TikTokError):
    message = "TikTok does not accept the client key or its secret."


class RequestRefused(TikTokError):
    message = "TikTok refuses the request as it was made."
