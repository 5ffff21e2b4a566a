"""What each error code means and when to try again. The schema, the status codes and `docs/errors.md` read this table."""

from collections.abc import Mapping
from typing import NamedTuple

from tiktok_accounts_gql.errors import ErrorCode, UserErrorCode

_FIX_FIRST = "No: fix the cause first."
_AFTER_RETRY_AFTER_SECONDS = "Yes, after `retryAfterSeconds`."
_START_AGAIN = "No: start the authorization again."


class UserErrorEntry(NamedTuple):
    """`meaning` is the description in the schema; `retry` answers whether the same call can succeed later."""

    meaning: str
    retry: str


class ErrorEntry(NamedTuple):
    """`status`: of an HTTP response without data; a subclass of RequestError may have a more specific one."""

    status: int
    meaning: str
    retry: str


USER_ERRORS: Mapping[UserErrorCode, UserErrorEntry] = {
    UserErrorCode.NOT_FOUND: UserErrorEntry(
        "There is no such object, it was disconnected, or it belongs to somebody else.", _FIX_FIRST
    ),
    UserErrorCode.INVALID_INPUT: UserErrorEntry(
        "An input breaks a rule in its description; `field` says which.", _FIX_FIRST
    ),
    UserErrorCode.AUTHORIZATION_STATE_INVALID: UserErrorEntry(
        "`state` is unknown, was used, or belongs to another user or another browser: start again.", _START_AGAIN
    ),
    UserErrorCode.AUTHORIZATION_STATE_EXPIRED: UserErrorEntry("Too long ago: start again.", _START_AGAIN),
    UserErrorCode.AUTHORIZATION_CODE_INVALID: UserErrorEntry("TikTok refuses the code: start again.", _START_AGAIN),
    UserErrorCode.AUTHORIZATION_DENIED: UserErrorEntry(
        "The user said no at TikTok.", "No: start the authorization again if the user wants to."
    ),
    UserErrorCode.WRONG_TIKTOK_ACCOUNT: UserErrorEntry(
        "The user signed in at TikTok with another account than the one to reconnect.",
        "No: start the authorization again; the user has to switch accounts at TikTok.",
    ),
    UserErrorCode.ACCOUNT_CONNECTED_ELSEWHERE: UserErrorEntry(
        "Another user of this API has connected this TikTok account.", _FIX_FIRST
    ),
    UserErrorCode.REAUTHORIZATION_REQUIRED: UserErrorEntry(
        "TikTok no longer accepts this account's authorization: reconnect.", "No: connect the account again."
    ),
    UserErrorCode.SCOPE_MISSING: UserErrorEntry(
        "The user did not grant what this needs.", "No: connect again and grant `missingScopes`."
    ),
    UserErrorCode.SYNC_FAILED: UserErrorEntry(
        "It could not be read, for none of the other reasons. A sync job has no top-level errors: its "
        "unexpected failures show as this.",
        "Yes, later.",
    ),
    UserErrorCode.TIKTOK_RATE_LIMITED: UserErrorEntry(
        "TikTok asks for fewer requests, or too many wait for it here; `retryAfterSeconds` says when.",
        _AFTER_RETRY_AFTER_SECONDS,
    ),
    UserErrorCode.TIKTOK_UNAVAILABLE: UserErrorEntry(
        "TikTok does not answer, or not as documented.", _AFTER_RETRY_AFTER_SECONDS
    ),
    UserErrorCode.APP_MISCONFIGURED: UserErrorEntry(
        "TikTok refuses this server's own credentials or requests: contact its operator.",
        "No: its operator has to act.",
    ),
    UserErrorCode.IDEMPOTENCY_KEY_REUSED: UserErrorEntry(
        "This `idempotencyKey` came with another input before.", "No: use a new key."
    ),
    UserErrorCode.TOO_MANY_IDS: UserErrorEntry(
        "More ids than allowed, or more accounts than a job may have.", _FIX_FIRST
    ),
    UserErrorCode.JOB_FINISHED: UserErrorEntry("The job has ended: there is nothing to cancel.", "No."),
    UserErrorCode.LIMIT_REACHED: UserErrorEntry(
        "As much is under way already as one user may have: unfinished jobs, their accounts, or "
        "authorizations that were started within a minute.",
        "Yes: after `retryAfterSeconds` if it is set, otherwise when a job has ended.",
    ),
}

ERRORS: Mapping[ErrorCode, ErrorEntry] = {
    ErrorCode.UNAUTHENTICATED: ErrorEntry(
        401, "No bearer token, or one that is not accepted.", "Yes, with a valid token."
    ),
    ErrorCode.FORBIDDEN: ErrorEntry(
        403, "A page of an origin that is not allowed tried to open a WebSocket.", _FIX_FIRST
    ),
    ErrorCode.NOT_FOUND: ErrorEntry(404, "There is nothing at this path, or no such job to watch.", _FIX_FIRST),
    ErrorCode.BAD_USER_INPUT: ErrorEntry(
        400, "An argument, a variable or the request itself breaks a rule.", _FIX_FIRST
    ),
    ErrorCode.GRAPHQL_PARSE_FAILED: ErrorEntry(400, "The document is not GraphQL.", _FIX_FIRST),
    ErrorCode.GRAPHQL_VALIDATION_FAILED: ErrorEntry(400, "The document does not fit the schema.", _FIX_FIRST),
    ErrorCode.PERSISTED_QUERY_NOT_FOUND: ErrorEntry(
        200,
        "This process does not know the query of `extensions.persistedQuery`.",
        "Yes, with the query beside its hash; clients do so by themselves.",
    ),
    ErrorCode.PERSISTED_QUERY_MISMATCH: ErrorEntry(
        400, "The hash of `extensions.persistedQuery` is not that of `query`.", _FIX_FIRST
    ),
    ErrorCode.LIMIT_EXCEEDED: ErrorEntry(
        400, "The document is too deep, too wide or too long; 413 if it is the body.", _FIX_FIRST
    ),
    ErrorCode.RATE_LIMITED: ErrorEntry(429, "Too many requests.", "Yes, after `Retry-After`."),
    ErrorCode.SERVICE_UNAVAILABLE: ErrorEntry(
        503,
        "The database or the keys that verify tokens cannot be reached, or the server is about to stop.",
        "Yes, with backoff.",
    ),
    ErrorCode.INTERNAL_SERVER_ERROR: ErrorEntry(
        500, "A bug of the server.", "Perhaps; send the `errorId` to the operator."
    ),
}
