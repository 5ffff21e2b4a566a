"""How TikTok fails, as far as it makes a difference to us.

```
TikTokError
├── RateLimited · Unavailable           pass by themselves
│   └── NotAsked
├── AccessTokenInvalid                  refresh once, try once more
├── InvalidGrant                        the code or the refresh token is worthless
├── ScopeNotGranted                     the user did not grant it
└── AppMisconfigured · RequestRefused   the operator's mistake, or ours
```

Messages are fit for people and hold nothing of what was sent; `log_id` is what TikTok's support asks for.
"""


class TikTokError(Exception):
    """TikTok did not do what it was asked."""

    message = "TikTok did not do what it was asked."

    def __init__(self, message: str | None = None, *, log_id: str | None = None) -> None:
        self.message = message or type(self).message
        super().__init__(self.message)
        self.log_id = log_id
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
        super().__init__(message, log_id=log_id)
        self.ambiguous = ambiguous
        self.retry_after = retry_after


class NotAsked(Unavailable):
    message = "TikTok is taken to be down: it was not asked, or only to find out."


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
