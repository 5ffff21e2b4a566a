"""Reference pages made from the code: `docs/configuration.md` and `docs/errors.md`. Tests compare them."""

from datetime import timedelta

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tiktok_accounts_gql.errors import ErrorCode, UserErrorCode
from tiktok_accounts_gql.settings import PREFIX, Settings
from tiktok_accounts_gql.web.answers import STATUS

_CONFIGURATION = f"""# Configuration

Every setting is an environment variable with the prefix `{PREFIX}`, or a line of a file `.env` in the working folder.
They are read once, at the start; one that is missing or weak stops it and is named. Made from the code by `make docs`.

| variable | default | meaning |
|---|---|---|
"""

_ERRORS = """# Errors

Two kinds, both closed lists. Compare codes, never messages. Made from the code by `make docs`.

## `userErrors` of a payload: what the user can fix

Every mutation answers with `userErrors {{ code message field retryAfterSeconds }}`, empty if nothing went wrong.

| code | meaning | try again? |
|---|---|---|
{user_rows}
## `extensions.code` of top-level errors: what the client or the server got wrong

Each has `extensions.requestId`, the `X-Request-ID` of the answer; INTERNAL_SERVER_ERROR also has `extensions.errorId`,
under which the server's log has the cause. The status is that of answers without `data` under
`application/graphql-response+json`; under `application/json` a document that the schema refuses is answered with 200, as
the GraphQL-over-HTTP specification has it. An error of one field among others comes with `data` and status 200.

| code | status | meaning | try again? |
|---|---|---|---|
{request_rows}"""

_NO, _LATER = "No: fix the cause first.", "Yes, after `retryAfterSeconds`."

_USER_ERRORS: dict[UserErrorCode, tuple[str, str]] = {
    UserErrorCode.NOT_FOUND: ("There is no such object, it was disconnected, or it belongs to somebody else.", _NO),
    UserErrorCode.INVALID_INPUT: ("An input breaks a rule in its description; `field` says which.", _NO),
    UserErrorCode.AUTHORIZATION_STATE_INVALID: (
        "`state` is unknown, was used, or belongs to another user or another browser.",
        "No: start to connect again.",
    ),
    UserErrorCode.AUTHORIZATION_STATE_EXPIRED: (
        "The authorization was started too long ago.",
        "No: start to connect again.",
    ),
    UserErrorCode.AUTHORIZATION_DENIED: (
        "The user denied access at TikTok.",
        "No: start to connect again, if the user wants to.",
    ),
    UserErrorCode.WRONG_TIKTOK_ACCOUNT: (
        "The user signed in at TikTok with another account than the one to reconnect.",
        "No: start again; the user has to switch accounts at TikTok.",
    ),
    UserErrorCode.ACCOUNT_CONNECTED_ELSEWHERE: ("Another user has connected this TikTok account.", _NO),
    UserErrorCode.AUTHORIZATION_CODE_INVALID: ("TikTok refuses the authorization code.", "No: start to connect again."),
    UserErrorCode.REAUTHORIZATION_REQUIRED: (
        "TikTok no longer accepts the account's authorization, or its stored tokens cannot be opened.",
        "No: connect the account again.",
    ),
    UserErrorCode.SCOPE_MISSING: (
        "The user did not grant what this needs.",
        "No: connect again, with `missingScopes`.",
    ),
    UserErrorCode.SYNC_FAILED: (
        "The account could not be read, for none of the other reasons: TikTok's reply makes no sense, for example.",
        "Yes, later.",
    ),
    UserErrorCode.TIKTOK_RATE_LIMITED: ("TikTok asks for fewer requests, or too many wait for it here.", _LATER),
    UserErrorCode.TIKTOK_UNAVAILABLE: (
        "TikTok does not answer, or the account's authorization is being renewed at this moment.",
        _LATER,
    ),
    UserErrorCode.APP_MISCONFIGURED: (
        "TikTok refuses this server's own credentials or requests.",
        "No: its operator has to act.",
    ),
    UserErrorCode.TOO_MANY_IDS: ("More ids than allowed, or more accounts than a job may have.", _NO),
    UserErrorCode.JOB_FINISHED: ("The job has ended: there is nothing to cancel.", "No."),
    UserErrorCode.LIMIT_REACHED: (
        "As much is under way already as one user may have: unfinished jobs, their accounts, or authorizations.",
        "Later: after `retryAfterSeconds` if it is told, or once a job has ended.",
    ),
    UserErrorCode.IDEMPOTENCY_KEY_REUSED: (
        "The `idempotencyKey` came with another input before.",
        "No: use a new key.",
    ),
}

_REQUEST_ERRORS: dict[ErrorCode, tuple[str, str]] = {
    ErrorCode.UNAUTHENTICATED: ("No bearer token, or one that is not accepted.", "Yes, with a valid token."),
    ErrorCode.FORBIDDEN: ("A WebSocket that a page of an origin opens which is not allowed to.", _NO),
    ErrorCode.NOT_FOUND: ("There is nothing at this path, or no such job to watch.", _NO),
    ErrorCode.BAD_USER_INPUT: ("An argument, a variable or the request itself breaks a rule.", _NO),
    ErrorCode.GRAPHQL_PARSE_FAILED: ("The document is not GraphQL.", _NO),
    ErrorCode.GRAPHQL_VALIDATION_FAILED: ("The document does not fit the schema.", _NO),
    ErrorCode.PERSISTED_QUERY_NOT_FOUND: (
        "This process does not know the query of `extensions.persistedQuery`.",
        "Yes, with the query beside its hash; clients do so by themselves.",
    ),
    ErrorCode.PERSISTED_QUERY_MISMATCH: ("The hash of `extensions.persistedQuery` is not that of `query`.", _NO),
    ErrorCode.LIMIT_EXCEEDED: ("The document is too deep, too wide or too long; 413 if it is the body.", _NO),
    ErrorCode.RATE_LIMITED: ("Too many requests.", "Yes, after `Retry-After`."),
    ErrorCode.SERVICE_UNAVAILABLE: (
        "The database or the sign-in's keys cannot be reached, or the server is about to stop.",
        "Yes, with backoff.",
    ),
    ErrorCode.INTERNAL_SERVER_ERROR: ("A bug of the server.", "Perhaps; tell the operator the `errorId`."),
}


def build_configuration_page() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        description = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{PREFIX}{name.upper()}` | {_format_default(field)} | {description} |\n")
    return _CONFIGURATION + "".join(rows)


def build_errors_page() -> str:
    """Build the page. Raises KeyError for a code without a description."""
    user_rows = [f"| `{code}` | {' | '.join(_USER_ERRORS[code])} |\n" for code in UserErrorCode]
    request_rows = [
        f"| `{code}` | {STATUS.get(code, 400)} | {' | '.join(_REQUEST_ERRORS[code])} |\n" for code in ErrorCode
    ]
    return _ERRORS.format(user_rows="".join(user_rows), request_rows="".join(request_rows))


def _format_default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None or field.default == ():
        return "none"
    if isinstance(field.default, timedelta):
        return f"`{field.default // timedelta(hours=1)}h`"
    value = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{value}`"
