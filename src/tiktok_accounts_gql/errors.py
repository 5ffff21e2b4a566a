"""The errors that a caller of the API can act on.

```
AppError                      has a code and a message for people
├── OperationError            a mutation failed: `userErrors` of its payload (UserErrorCode)
│   ├── InvalidInput · TooManyIds · LimitReached · NotFound · IdempotencyKeyReused · JobFinished
│   ├── AuthorizationStateInvalid · AuthorizationStateExpired · AuthorizationCodeInvalid · AuthorizationDenied
│   ├── WrongTikTokAccount · ConnectedElsewhere · ScopeMissing · ReauthorizationRequired (TokensUnreadable)
│   └── SyncFailed (AccountUnreadable) · TikTokRateLimited · TikTokUnavailable · AppMisconfigured
└── RequestError              a request or a field failed: top-level `extensions.code` (ErrorCode)
    └── Unauthenticated · Forbidden · NoSuchJob · BadUserInput · LimitExceeded · TooManyStreams ·
        BudgetExhausted · ServiceUnavailable
```

The `message` of a class is for people; an instance may have a more specific one. It is an attribute and not the docstring,
because `python -OO` removes docstrings. Every other exception is masked as INTERNAL_SERVER_ERROR. What each code means:
`error_catalog.py`.
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    """The values of `extensions.code` of top-level errors, a closed list."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    PERSISTED_QUERY_MISMATCH = "PERSISTED_QUERY_MISMATCH"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    RATE_LIMITED = "RATE_LIMITED"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


class UserErrorCode(StrEnum):
    """The values of `code` in `userErrors`, a closed list."""

    NOT_FOUND = "NOT_FOUND"
    INVALID_INPUT = "INVALID_INPUT"
    AUTHORIZATION_STATE_INVALID = "AUTHORIZATION_STATE_INVALID"
    AUTHORIZATION_STATE_EXPIRED = "AUTHORIZATION_STATE_EXPIRED"
    AUTHORIZATION_CODE_INVALID = "AUTHORIZATION_CODE_INVALID"
    AUTHORIZATION_DENIED = "AUTHORIZATION_DENIED"
    WRONG_TIKTOK_ACCOUNT = "WRONG_TIKTOK_ACCOUNT"
    ACCOUNT_CONNECTED_ELSEWHERE = "ACCOUNT_CONNECTED_ELSEWHERE"
    REAUTHORIZATION_REQUIRED = "REAUTHORIZATION_REQUIRED"
    SCOPE_MISSING = "SCOPE_MISSING"
    SYNC_FAILED = "SYNC_FAILED"
    TIKTOK_RATE_LIMITED = "TIKTOK_RATE_LIMITED"
    TIKTOK_UNAVAILABLE = "TIKTOK_UNAVAILABLE"
    APP_MISCONFIGURED = "APP_MISCONFIGURED"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    TOO_MANY_IDS = "TOO_MANY_IDS"
    JOB_FINISHED = "JOB_FINISHED"
    LIMIT_REACHED = "LIMIT_REACHED"


class AppError(Exception):
    """The base class of errors with a message that the caller may read."""

    message = "Something went wrong."

    def __init__(self, message: str | None = None) -> None:
        self.message = message or type(self).message
        super().__init__(self.message)


class OperationError(AppError):
    """The base class of errors that a mutation returns as `userErrors`, and a sync job as the outcome of an account.

    `is_transient`: work in the background tries again.
    """

    code: UserErrorCode
    is_transient: bool = False

    def __init__(
        self,
        message: str | None = None,
        *,
        field: tuple[str, ...] | None = None,
        retry_after_seconds: int | None = None,
        retry_after_from_tiktok: bool = False,
    ) -> None:
        """Set the path of the input that caused it (`field`), and when to try again.

        `retry_after_from_tiktok`: TikTok sent the delay; otherwise it is our own estimate.
        """
        super().__init__(message)
        self.field = field
        self.retry_after_seconds = retry_after_seconds
        self.retry_after_from_tiktok = retry_after_from_tiktok


class InvalidInput(OperationError):
    message = "An input breaks a rule in its description."
    code = UserErrorCode.INVALID_INPUT


class NotFound(OperationError):
    message = "There is no such object."
    code = UserErrorCode.NOT_FOUND


class TooManyIds(OperationError):
    message = "More ids than allowed."
    code = UserErrorCode.TOO_MANY_IDS


class LimitReached(OperationError):
    message = "As much is under way already as one user may have."
    code = UserErrorCode.LIMIT_REACHED


class JobFinished(OperationError):
    message = "The job has ended: there is nothing to cancel."
    code = UserErrorCode.JOB_FINISHED


class IdempotencyKeyReused(OperationError):
    message = "An earlier call had this idempotencyKey with another input."
    code = UserErrorCode.IDEMPOTENCY_KEY_REUSED


class AuthorizationStateInvalid(OperationError):
    message = "The authorization is unknown, was used, or belongs to another user. Start again."
    code = UserErrorCode.AUTHORIZATION_STATE_INVALID


class AuthorizationStateExpired(OperationError):
    message = "The authorization was started too long ago. Start again."
    code = UserErrorCode.AUTHORIZATION_STATE_EXPIRED


class AuthorizationDenied(OperationError):
    message = "The authorization was denied at TikTok."
    code = UserErrorCode.AUTHORIZATION_DENIED


class WrongTikTokAccount(OperationError):
    message = "Another TikTok account was signed in than the one to reconnect."
    code = UserErrorCode.WRONG_TIKTOK_ACCOUNT


class AuthorizationCodeInvalid(OperationError):
    message = "TikTok refuses the authorization code. Start again."
    code = UserErrorCode.AUTHORIZATION_CODE_INVALID


class ConnectedElsewhere(OperationError):
    message = "Another user has connected this TikTok account."
    code = UserErrorCode.ACCOUNT_CONNECTED_ELSEWHERE


class ReauthorizationRequired(OperationError):
    message = "TikTok no longer accepts this account's authorization. Connect the account again."
    code = UserErrorCode.REAUTHORIZATION_REQUIRED


class TokensUnreadable(ReauthorizationRequired):
    message = "The stored tokens of this account cannot be opened. Connect the account again."


class ScopeMissing(OperationError):
    message = "The user did not grant what this needs. Connect the account again and grant the missing scopes."
    code = UserErrorCode.SCOPE_MISSING


class SyncFailed(OperationError):
    message = "The account could not be read from TikTok."
    code = UserErrorCode.SYNC_FAILED


class AccountUnreadable(SyncFailed):
    message = "TikTok's reply about the account cannot be read. Try again later."
    is_transient = True


class TikTokRateLimited(OperationError):
    message = "TikTok asks for fewer requests. Try again later."
    is_transient = True
    code = UserErrorCode.TIKTOK_RATE_LIMITED


class TikTokUnavailable(OperationError):
    message = "TikTok does not answer, or not as documented. Try again later."
    is_transient = True
    code = UserErrorCode.TIKTOK_UNAVAILABLE


class AppMisconfigured(OperationError):
    message = "TikTok refuses this server's own credentials. Its operator has to fix that."
    code = UserErrorCode.APP_MISCONFIGURED


class RequestError(AppError):
    """The base class of errors that fail a request, or one field of it.

    `retry_after_seconds`: when to try again; None if that is not known.
    """

    code: ErrorCode
    retry_after_seconds: int | None = None


class Unauthenticated(RequestError):
    message = "A valid bearer token is required."
    code = ErrorCode.UNAUTHENTICATED


class Forbidden(RequestError):
    message = "The request is not allowed."
    code = ErrorCode.FORBIDDEN


class NoSuchJob(RequestError):
    message = "There is no such sync job."
    code = ErrorCode.NOT_FOUND


class BadUserInput(RequestError):
    message = "An argument breaks a rule in its description."
    code = ErrorCode.BAD_USER_INPUT


class LimitExceeded(RequestError):
    message = "The request is larger than this server allows."
    code = ErrorCode.LIMIT_EXCEEDED


class TooManyStreams(RequestError):
    message = "Too many subscriptions are open. Close one, or try again later."
    code = ErrorCode.RATE_LIMITED
    retry_after_seconds = 10


class BudgetExhausted(RequestError):
    message = "Your budget of cost points is used up. Try again later, or ask for less."
    code = ErrorCode.RATE_LIMITED

    def __init__(self, message: str | None = None, *, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ServiceUnavailable(RequestError):
    message = "The database does not answer. Try again later."
    code = ErrorCode.SERVICE_UNAVAILABLE
